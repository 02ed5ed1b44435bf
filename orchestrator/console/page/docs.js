// Draws /openapi.json as a page, so that no script library is fetched from elsewhere.

import { ask } from "./base/api.js";
import { byId, el } from "./base/dom.js";

const answer = await ask("/openapi.json");
const document_ = await answer.json();

const found = (schema) => (schema?.$ref ? { name: schema.$ref.split("/").pop(), ...document_.components.schemas[schema.$ref.split("/").pop()] } : schema || {});

/** A schema's type in a few words. */
function typeName(schema) {
  if (schema.$ref) return found(schema).enum ? found(schema).enum.map((value) => JSON.stringify(value)).join(" or ") : schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" or ");
  if (schema.type === "array") return `list of ${typeName(schema.items)}`;
  return schema.format ? `${schema.type}, ${schema.format}` : schema.type || "any";
}

/** The fields of a schema and of the schemas in it. */
function fields(schema, depth = 0) {
  const target = found(schema);
  if (target.type === "array") return fields(target.items, depth);
  if (target.anyOf) return target.anyOf.map((each) => fields(each, depth)).find(Boolean) || null;
  if (!target.properties || depth > 3) return null;
  return el("ul", {}, Object.entries(target.properties).map(([name, property]) => el("li", {},
    el("code", {}, name), ` ${typeName(property)}${target.required?.includes(name) ? "" : ", optional"}`,
    property.description ? `: ${property.description}` : "", fields(property, depth + 1))));
}

function operation(path, method, each) {
  const [, done] = Object.entries(each.responses).find(([status]) => status.startsWith("2")) || [null, {}];
  const body = each.requestBody?.content?.["application/json"]?.schema;
  const answered = done.content?.["application/json"]?.schema;
  return el("article", {},
    el("h2", {}, el("b", {}, method.toUpperCase()), ` ${path}`),
    el("p", {}, each.description || each.summary),
    each.parameters?.length ? [el("h3", {}, "Parameters"), el("ul", {}, each.parameters.map((parameter) => el("li", {},
      el("code", {}, parameter.name), ` ${typeName(parameter.schema)}, in the ${parameter.in}${parameter.required ? "" : ", optional"}`,
      parameter.description ? `: ${parameter.description}` : "")))] : null,
    body ? [el("h3", {}, "Body"), fields(body)] : null,
    answered ? [el("h3", {}, "Answer"), fields(answered)] : null);
}

byId("operations").replaceChildren(...Object.entries(document_.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, each]) => operation(path, method, each))));
byId("operations").setAttribute("aria-busy", "false");
