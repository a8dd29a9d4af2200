// Which key was pressed, whatever the keyboard's layout.

/** Keys that shortcuts use and that other layouts have elsewhere: by their place on the keyboard. */
const PLACES = { BracketLeft: "[", BracketRight: "]", Equal: "=", Minus: "-", NumpadAdd: "+", NumpadSubtract: "-" };

/**
 * The key as a Latin keyboard writes it. Layouts with Latin letters are taken at their word (AZERTY's A is A); on others
 * (Cyrillic, Greek, Hebrew, …) the place of the key decides.
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
