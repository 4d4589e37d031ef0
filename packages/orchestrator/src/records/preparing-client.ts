import { createHash } from "node:crypto";
import pg from "pg";

/** A statement whose list grows with its values is another one each time; a session keeps those it prepared. */
const mostStatements = 500;
/** All columns of a table: the server refuses such a prepared statement once a newer version has added one. */
const allColumns = /(?:select|returning|[,.])\s*\*/i;

const names = new Map<string, string | undefined>();

/** Has every statement with values prepared once in each session: to parse and plan them was most of the database's work. */
export class PreparingClient extends pg.Client {
  override query(...given: readonly unknown[]): never {
    const [text, values, ...rest] = given;
    const name =
      typeof text === "string" && Array.isArray(values) && values.length > 0 ? nameOf(text) : undefined;
    const query = super.query.bind(this) as (...params: readonly unknown[]) => never;
    return name === undefined ? query(...given) : query({ name, text, values }, ...rest);
  }
}

function nameOf(text: string): string | undefined {
  if (!names.has(text) && names.size < mostStatements) {
    const hash = createHash("sha256").update(text).digest("hex").slice(0, 32);
    names.set(text, allColumns.test(text) ? undefined : hash);
  }
  return names.get(text);
}
