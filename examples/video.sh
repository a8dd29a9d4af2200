#!/usr/bin/env bash
# Removes something from a video: ffmpeg makes frames, lacuna fills them, ffmpeg makes a video again.
#
#   examples/video.sh [--static] [--lossless] VIDEO MASK OUTPUT [-- OPTION...]
#
#   MASK        white where the hole is: a picture for all frames, a folder with a picture for each frame (in the order of
#               their names), or a video of masks
#   --static    the camera stands still: fill from frames that show what the hole hides (lacuna inpaint --frames).
#               Without it every frame is filled by itself, with the same seed
#   --lossless  encode without loss (FFV1, OUTPUT must be .mkv); otherwise H.264 at a high quality (CRF 16)
#   OPTION      further options of lacuna inpaint, such as --method patchmatch or --expand 4
#
# Needs ffmpeg 5.1 or newer. LACUNA is the program to run (default: lacuna). Sound is kept; a variable frame rate
# becomes its mean. Frames are stored as PNG in a temporary folder
# (TMPDIR): about 3 MB for each frame of 1920 x 1080 and again as much for its result.
set -euo pipefail

fail() { echo "video.sh: $*" >&2; exit 2; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }

static=false lossless=false arguments=()
while (($#)); do
  case $1 in
    --static) static=true ;;
    --lossless) lossless=true ;;
    -h | --help) usage; exit ;;
    --) shift; break ;;
    -*) fail "unknown option $1 (options of lacuna inpaint follow --)" ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
((${#arguments[@]} == 3)) || fail "expected VIDEO MASK OUTPUT, got ${#arguments[@]} arguments (--help)"
video=${arguments[0]} mask=${arguments[1]} output=${arguments[2]} options=("$@")
lacuna=${LACUNA:-lacuna}
command -v ffmpeg > /dev/null && command -v ffprobe > /dev/null || fail "ffmpeg and ffprobe are needed"
command -v "$lacuna" > /dev/null || fail "there is no program $lacuna (LACUNA=path/to/lacuna)"
[[ -f $video ]] || fail "there is no video $video"
[[ -e $mask ]] || fail "there is no mask $mask"
[[ ! -e $output ]] || fail "$output exists"
if $lossless && [[ $output != *.mkv ]]; then fail "--lossless needs an OUTPUT that ends in .mkv, got $output"; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() { ffmpeg -nostdin -loglevel error "$@"; }
probe() { ffprobe -loglevel error -select_streams v:0 -show_entries "stream=$1" -of default=nokey=1:noprint_wrappers=1 "$video"; }

rate=$(probe avg_frame_rate)
[[ $rate != 0/0 && -n $rate ]] || fail "$video has no frame rate"
mkdir "$work/frames" "$work/masks"
run -i "$video" -map 0:v:0 -fps_mode passthrough "$work/frames/%06d.png"
count=$(find "$work/frames" -name '*.png' | wc -l)
((count > 0)) || fail "$video has no frames"

if $lossless; then
  codec=(-c:v ffv1)
else
  # H.264 with colour at half the resolution, which all players show, needs even sides.
  format=yuv420p
  if (($(probe width) % 2 + $(probe height) % 2)); then format=yuv444p; fi
  codec=(-c:v libx264 -crf 16 -pix_fmt "$format" -vf scale=out_color_matrix=bt709:out_range=tv -colorspace bt709 -color_range tv)
fi
extension=${output##*.} sound=copy
encode() {
  run -y -framerate "$rate" -i "$1/%06d.png" -i "$video" -map 0:v -map '1:a?' -c:a "$sound" "${codec[@]}" "${@:3}" "$2"
}
# Before the long work: can OUTPUT be written, and can it hold the sound as it is?
if ! encode "$work/frames" "$work/begin.$extension" -t 0.1 2> /dev/null; then
  sound=aac
  encode "$work/frames" "$work/begin.$extension" -t 0.1 || fail "ffmpeg cannot write $output"
  echo "note: the sound is encoded again, as AAC"
fi

if [[ -d $mask ]]; then
  number=0
  while IFS= read -r -d '' file; do
    number=$((number + 1))
    run -i "$file" "$work/masks/$(printf %06d "$number").png"
  done < <(find "$mask" -maxdepth 1 -type f -print0 | sort -zV)
elif [[ $(ffprobe -loglevel error -count_packets -select_streams v:0 -show_entries stream=nb_read_packets -of csv=p=0 "$mask") == 1 ]]; then
  run -i "$mask" "$work/mask.png"
  for frame in "$work"/frames/*.png; do ln "$work/mask.png" "$work/masks/${frame##*/}"; done
else
  run -i "$mask" -map 0:v:0 -fps_mode passthrough "$work/masks/%06d.png"
fi
masks=$(find "$work/masks" -name '*.png' | wc -l)
((masks == count)) || fail "$video has $count frames, $mask has $masks masks"

mkdir "$work/filled"
if $static; then
  "$lacuna" inpaint --frames "$work/frames" "$work/masks" -o "$work/filled" "${options[@]}"
else
  (
    echo image,mask,output
    for frame in "$work"/frames/*.png; do
      name=${frame##*/}
      echo "$frame,$work/masks/$name,$work/filled/$name"
    done
  ) > "$work/list.csv"
  "$lacuna" inpaint --csv "$work/list.csv" "${options[@]}"
fi

# The result gets its name when it is complete.
encode "$work/filled" "$work/output.$extension"
mv -n "$work/output.$extension" "$output"
echo "$output: $count frames"
