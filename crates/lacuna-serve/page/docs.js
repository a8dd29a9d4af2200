// The API reference, generated from its OpenAPI document.

const content = document.getElementById("content");

function element(tag, words = "", ...children) {
  const made = document.createElement(tag);
  // Names are in backticks.
  words.split("`").forEach((part, index) => made.append(index % 2 ? element("code", part) : part));
  made.append(...children);
  return made;
}

function table(heads, rows) {
  const line = (tag, cells) => element("tr", "", ...cells.map((cell) => (cell instanceof Node ? element(tag, "", cell) : element(tag, cell))));
  return element("table", "", element("thead", "", line("th", heads)), element("tbody", "", ...rows.map((row) => line("td", row))));
}

const api = await (await fetch(new URL("../openapi.json", import.meta.url))).json();
const resolve = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema);

function typeOf(schema) {
  if (schema?.$ref) return schema.$ref.split("/").pop();
  const options = schema?.oneOf ?? schema?.anyOf;
  if (options) return options.map(typeOf).join(" or ");
  const type = [schema?.type ?? "any"].flat().join(" or ");
  return schema?.format === "binary" ? "file" : schema?.enum ? schema.enum.join(", ") : type;
}

function properties(schema) {
  const { properties = {}, required = [] } = resolve(schema) ?? {};
  return Object.entries(properties).map(([name, property]) => [
    element("code", name),
    typeOf(property) + (required.includes(name) ? ", needed" : ""),
    property.description ?? resolve(property)?.description ?? "",
  ]);
}

// Lacuna's own first.
const paths = Object.entries(api.paths).sort(([one], [other]) => other.startsWith("/v1/") - one.startsWith("/v1/"));
for (const [path, methods] of paths) {
  for (const [method, operation] of Object.entries(methods)) {
    const verb = element("span", method.toUpperCase());
    verb.className = "verb";
    content.append(element("h2", "", verb, " ", element("code", path)), element("p", operation.summary));
    if (operation.description && operation.description !== operation.summary) content.append(element("p", operation.description));
    const parameters = (operation.parameters ?? []).map((one) => [element("code", one.name), `${one.in}, ${typeOf(one.schema)}`, one.description ?? ""]);
    if (parameters.length) content.append(table(["Parameter", "Kind", "Meaning"], parameters));
    for (const [type, body] of Object.entries(operation.requestBody?.content ?? {})) {
      content.append(element("h3", type), table(["Field", "Kind", "Meaning"], properties(body.schema)));
    }
    const responses = Object.entries(operation.responses).map(([status, response]) => [status, Object.keys(response.content ?? {}).join(", "), response.description]);
    content.append(element("h3", "Answers"), table(["Status", "Type", "Meaning"], responses));
  }
}

content.append(element("h2", "Shapes"));
for (const [name, schema] of Object.entries(api.components.schemas)) {
  const rows = properties(schema);
  if (rows.length) content.append(element("h3", name), element("p", schema.description ?? ""), table(["Field", "Kind", "Meaning"], rows));
}

// Problem documents link here by their code.
content.append(element("h2", "Problem codes"));
const codes = api.components.schemas.Code;
const meanings = codes.oneOf ?? codes.enum.map((code) => ({ enum: [code] }));
const rows = meanings.map((meaning) => {
  const [code] = meaning.enum ?? [meaning.const];
  const name = element("code", code);
  name.id = code;
  return [name, meaning.description ?? ""];
});
content.append(table(["Code", "Meaning"], rows));
document.getElementById(location.hash.slice(1))?.scrollIntoView();
