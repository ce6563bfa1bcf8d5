// Shows /openapi.json, and sends requests. All text is put in as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);

// An element with attributes and children; texts become text nodes.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

// A text in which `code` stands between backticks.
function prose(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

let api;

// A schema with its reference followed.
function follow(schema) {
  if (!schema || !schema.$ref) return schema || {};
  return api.components.schemas[schema.$ref.split("/").pop()] || {};
}

// A schema as an outline that reads like the JSON it describes.
function outline(schema, depth = 0) {
  const known = follow(schema);
  const pad = "  ".repeat(depth + 1);
  if (depth > 8) return "…";
  const choices = known.anyOf || known.oneOf;
  if (choices) return [...new Set(choices.map((choice) => outline(choice, depth)))].join(" | ");
  if (known.allOf) return known.allOf.map((part) => outline(part, depth)).join(" & ");
  if (known.items) return `[${outline(known.items, depth)}, …]`;
  if (known.properties) {
    const required = known.required || [];
    const lines = Object.entries(known.properties).map(([name, property]) => {
      const says = property.description || follow(property).description;
      const optional = required.includes(name) ? "" : "?";
      return `${pad}${name}${optional}: ${outline(property, depth + 1)}${says ? `   // ${says.replace(/\s+/g, " ")}` : ""}`;
    });
    return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
  }
  return typeName(known);
}

function typeName(schema) {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const types = [].concat(schema.type || "any").map((type) => (type === "object" ? "{…}" : type));
  return types.join(" | ") + (schema.format ? ` (${schema.format})` : "");
}

// What a parameter may be: type, limits, default.
function limits(schema) {
  const known = follow(schema);
  const words = [known.items ? `list of ${typeName(follow(known.items))}` : typeName(known)];
  if (known.minimum !== undefined) words.push(`from ${known.minimum}`);
  if (known.exclusiveMinimum !== undefined) words.push(`more than ${known.exclusiveMinimum}`);
  if (known.maximum !== undefined) words.push(`to ${known.maximum}`);
  if (known.maxLength !== undefined) words.push(`${known.maxLength} characters at most`);
  if (known.default !== undefined) words.push(`default ${known.default}`);
  return words.join(", ");
}

// A body to begin with: the first choice of everything that is required.
function example(schema) {
  const known = follow(schema);
  const choices = known.anyOf || known.oneOf;
  if (choices) return example(choices.find((choice) => follow(choice).type !== "null") || choices[0]);
  if (known.enum) return known.enum[0];
  if (known.items) return [example(known.items)];
  if (known.properties) {
    // Where nothing is required, all that any value will do for.
    const free = Object.keys(known.properties).filter((name) => !known.properties[name].pattern);
    const names = known.required && known.required.length ? known.required : free;
    return Object.fromEntries(names.map((name) => [name, example(known.properties[name])]));
  }
  const type = [].concat(known.type || "object")[0];
  return { string: "text", integer: 0, number: 0, boolean: false, null: null }[type] ?? {};
}

function field(parameter) {
  const schema = follow(parameter.schema);
  const names = schema.enum || (schema.type === "boolean" ? ["true", "false"] : undefined);
  if (names) {
    const options = names.map((name) => make("option", { value: name }, String(name)));
    if (!parameter.required) options.unshift(make("option", { value: "" }, ""));
    return make("select", {}, ...options);
  }
  const hint = schema.type === "array" ? "one, another" : schema.default !== undefined ? String(schema.default) : "";
  return make("input", { placeholder: hint, size: 28, spellcheck: "false" });
}

// The address of a request: what was filled in, in its place.
function address(path, fields) {
  const query = new URLSearchParams();
  let filled = path;
  for (const [parameter, input] of fields) {
    const text = input.value.trim();
    if (parameter.in === "path") {
      const value = text || (parameter.name === "user_id" ? byId("user").value.trim() : "");
      filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(value));
    } else if (text !== "") {
      const list = follow(parameter.schema).type === "array";
      for (const value of list ? text.split(",") : [text]) query.append(parameter.name, value.trim());
    }
  }
  const asked = query.toString();
  return asked ? `${filled}?${asked}` : filled;
}

async function send(method, url, body, shown) {
  const headers = {};
  const token = byId("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  shown.replaceChildren(make("p", {}, "…"));
  try {
    const response = await fetch(url, { method: method.toUpperCase(), headers, body });
    const text = await response.text();
    let pretty = text;
    try {
      pretty = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // Shown as it came.
    }
    const took = response.headers.get("X-Process-Time");
    const line = `${method.toUpperCase()} ${url}\nHTTP ${response.status}${took ? `, ${took} s` : ""}`;
    shown.replaceChildren(make("pre", {}, line), make("pre", { class: response.ok ? "" : "failed" }, pretty));
  } catch (error) {
    shown.replaceChildren(make("pre", { class: "failed" }, `${url}\n${error}`));
  }
}

function parameterTable(fields) {
  const rows = fields.map(([parameter, input]) =>
    make(
      "tr",
      {},
      make("td", {}, make("code", {}, parameter.name), parameter.required ? " *" : ""),
      make("td", {}, input),
      make("td", {}, ...prose(parameter.description), make("div", { class: "type" }, limits(parameter.schema))),
    ),
  );
  return make("table", {}, ...rows);
}

function responseTable(responses) {
  const rows = Object.entries(responses).map(([status, response]) => {
    const content = (response.content || {})["application/json"];
    return make(
      "tr",
      {},
      make("td", {}, make("code", {}, status)),
      make("td", {}, ...prose(response.description), content ? make("pre", {}, outline(content.schema)) : undefined),
    );
  });
  return make("table", {}, ...rows);
}

// What is inside a route, made when it is opened for the first time.
function inside(path, method, operation) {
  const fields = (operation.parameters || []).map((parameter) => [parameter, field(parameter)]);
  const parts = [];
  if (operation.description) parts.push(make("p", {}, ...prose(operation.description)));
  if (fields.length) parts.push(make("h3", {}, "Parameters"), parameterTable(fields));
  let body;
  if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"].schema;
    body = make("textarea", { spellcheck: "false" });
    body.value = JSON.stringify(example(schema), null, 2);
    parts.push(make("h3", {}, "Body"), make("p", {}, ...prose(operation.requestBody.description)));
    parts.push(make("pre", {}, outline(schema)), body);
  }
  const shown = make("div", { "aria-live": "polite" });
  const go = () => send(method, address(path, fields), body ? body.value : undefined, shown);
  parts.push(make("button", { type: "button", onclick: go }, "Send"), shown);
  parts.push(make("h3", {}, "Answers"), responseTable(operation.responses));
  return make("div", {}, ...parts);
}

function route(path, method, operation) {
  const details = make(
    "details",
    { id: operation.operationId },
    make(
      "summary",
      {},
      make("span", { class: `method ${method}` }, method),
      make("span", { class: "path" }, path),
      make("span", { class: "what" }, operation.summary || ""),
    ),
  );
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(inside(path, method, operation));
  });
  details.dataset.words = `${method} ${path} ${operation.summary} ${operation.description || ""}`.toLowerCase();
  return details;
}

function show() {
  byId("version").textContent = api.info.version;
  for (const part of api.info.description.split("\n\n")) byId("about").append(make("p", {}, ...prose(part)));
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
  const groups = api.tags.map((tag) => {
    const routes = all.filter(({ operation }) => operation.tags.includes(tag.name));
    const shown = routes.map(({ path, method, operation }) => route(path, method, operation));
    return make("section", {}, make("h2", {}, tag.name), make("p", {}, tag.description || ""), ...shown);
  });
  byId("routes").replaceChildren(...groups);
  const open = location.hash && byId(location.hash.slice(1));
  if (open) open.open = true;
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    let any = false;
    for (const details of section.querySelectorAll("details")) {
      const fits = words.every((word) => details.dataset.words.includes(word));
      details.classList.toggle("hidden", !fits);
      any = any || fits;
    }
    section.classList.toggle("hidden", !any);
  }
}

byId("settings").addEventListener("submit", (event) => event.preventDefault());
byId("filter").addEventListener("input", filter);
fetch("/openapi.json")
  .then((response) => response.json())
  .then((described) => {
    api = described;
    show();
  })
  .catch((error) => byId("routes").replaceChildren(make("p", { class: "failed" }, `the description did not load: ${error}`)));
