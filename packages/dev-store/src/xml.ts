const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  // A parser turns a bare carriage return into a line feed, and so a key into another key.
  "\r": "&#13;",
};

/** One element with a text value, escaped. */
export function textElement(name: string, value: string | number | boolean): string {
  const text = String(value).replace(/[&<>"\r]/g, (character) => entities[character] ?? character);
  return `<${name}>${text}</${name}>`;
}

/** A whole XML document from a root element and its already rendered children. */
export function xmlDocument(root: string, children: ReadonlyArray<string>): string {
  const name = root.split(" ")[0];
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>${children.join("")}</${name}>`;
}
