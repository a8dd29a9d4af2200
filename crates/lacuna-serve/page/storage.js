// What the browser remembers of the page's choices. A browser that refuses to store anything only forgets them.

export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Blocked, or full.
  }
}
