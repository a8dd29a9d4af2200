// The pressed key, independent of the keyboard layout.

/** Keys of shortcuts that other layouts have elsewhere, by their position on the keyboard. */
const PLACES = { BracketLeft: "[", BracketRight: "]", Equal: "=", Minus: "-", NumpadAdd: "+", NumpadSubtract: "-" };

/**
 * The key on a Latin keyboard. For layouts with Latin letters it is the letter itself (AZERTY's A is A); for others (Cyrillic,
 * Greek, Hebrew, …) the position of the key decides.
 */
export function keyOf(event) {
  const { key, code, shiftKey } = event;
  if (key.length > 1 || /^[\x20-\x7e]$/.test(key)) return key;
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  if (letter) return shiftKey ? letter : letter.toLowerCase();
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];
  if (code === "Slash" && shiftKey) return "?";
  return digit ?? PLACES[code] ?? key;
}
