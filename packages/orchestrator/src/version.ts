import { readFile } from "node:fs/promises";
import { parseAs, strictObject } from "@baton/protocol";
import * as v from "valibot";

const manifest = new URL("../package.json", import.meta.url);

/** Of this installation: every package of it has the same. */
export async function readVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(manifest, "utf8")) as { readonly version?: unknown };
  return parseAs(strictObject({ version: v.string() }), { version }, "the package's manifest").version;
}
