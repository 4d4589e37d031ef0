import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Plugin, build } from "esbuild";

/* Makes the agent's one file: `node bundle-agent.ts OUT`. */
const [out] = process.argv.slice(2);
if (out === undefined) throw new Error("cannot bundle the agent: give OUT");

const main = fileURLToPath(new URL("../../packages/agent/src/main.ts", import.meta.url));

/**
 * Node's modules are loaded at their first use, not where they are imported: HTTP, TLS and crypto take longer to load than all that the agent
 * does before it executes the application. The bundle reads an import only as `module.name`, so that a stand-in can load it at that moment.
 */
const lazyBuiltins =
  "require=(load=>id=>{let it;return new Proxy({},{get:(_,name)=>(it??=load(id))[name]})})(require);";

/**
 * In one file a part that is imported later is there already: what remains of `import()` are wrappers around every module, which cost
 * 8 kB and some 15 ms of the start. The imports are added at the end, so that what a file imports first is still evaluated first.
 */
const oneFile: Plugin = {
  name: "one-file",
  setup: (bundler) =>
    bundler.onLoad({ filter: /packages\/agent\/src\/.*\.ts$/ }, ({ path }) => {
      const imports: string[] = [];
      const text = readFileSync(path, "utf8").replace(
        /(?<!typeof )\bimport\(\s*("\.[^"]+"),?\s*\)/g,
        (_, part: string) => {
          imports.push(`import * as part${imports.length} from ${part};`);
          return `Promise.resolve(part${imports.length - 1})`;
        },
      );
      return { contents: `${text}\n${imports.join("\n")}`, loader: "ts" };
    }),
};

/**
 * Schemas that the agent never reads are left out: valibot's functions and ours are known to do nothing but make them, which esbuild takes from another file
 * only where the call says so.
 */
const unusedSchemas: Plugin = {
  name: "unused-schemas",
  setup: (bundler) =>
    bundler.onLoad({ filter: /packages\/(protocol|storage)\/src\/.*\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(
        /(?<=[=(,[{:]\s*)(v\.[a-z]\w*|strictObject|object|record|variant)\(/g,
        "/* @__PURE__ */ $&",
      ),
      loader: "ts",
    })),
};

await build({
  entryPoints: [main],
  outfile: out,
  bundle: true,
  minify: true,
  platform: "node",
  format: "cjs",
  target: "node24",
  legalComments: "none",
  // The directive first, or it would be none.
  banner: { js: `"use strict";${lazyBuiltins}` },
  plugins: [oneFile, unusedSchemas],
  logLevel: "warning",
  logOverride: { "empty-import-meta": "error" },
});
