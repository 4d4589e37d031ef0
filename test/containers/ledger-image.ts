import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ledgerProgram } from "@baton/example-ledger/demo";
import { build } from "esbuild";
import type { Found } from "./podman.ts";

export const ledgerImage = "localhost/baton-test/ledger:1";

/** The example ledger on an image with Node, as `ledgerImage`; its command is `node /app/ledger.mjs`. */
export async function buildLedger(
  podman: Extract<Found, { readonly missing: null }>,
  directory: string,
): Promise<void> {
  const outfile = join(directory, "ledger.mjs");
  // What it is made of is in part CommonJS, which calls for `require`.
  const banner =
    'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
  const common = { bundle: true, platform: "node", format: "esm", banner: { js: banner } } as const;
  await build({ ...common, entryPoints: [ledgerProgram], outfile });
  await writeFile(
    join(directory, "Dockerfile"),
    `FROM ${podman.nodeImage}\nCOPY ledger.mjs /app/ledger.mjs\n`,
  );
  await podman.podman.read(["build", "--quiet", "--pull=never", "--tag", ledgerImage, directory], {
    timeoutMs: 120_000,
  });
}
