// Short names for elements of the page.

export const byId = (id) => document.getElementById(id);

export function onClick(id, action) {
  byId(id).addEventListener("click", action);
}
