import { parseArgs } from "node:util";
import { type Figure, printFigures, printTable } from "./figure.ts";
import { benchFootprint } from "./agent-footprint.ts";
import { benchEngine } from "./engine.ts";
import { benchHandover } from "./handover.ts";
import { benchLease } from "./lease.ts";
import { benchStop } from "./stop.ts";
import { benchTree } from "./tree.ts";

const benches: Readonly<Record<string, (runs: number | undefined) => Promise<readonly Figure[]>>> = {
  handover: benchHandover,
  lease: benchLease,
  stop: benchStop,
  "agent-footprint": benchFootprint,
  tree: benchTree,
  engine: benchEngine,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, runs: { type: "string" } },
});
const [name = ""] = positionals;
const bench = benches[name];
const runs = values.runs === undefined ? undefined : Number(values.runs);
if (bench === undefined || (runs !== undefined && !(Number.isInteger(runs) && runs > 0))) {
  process.stderr.write(
    `usage: npm run bench -- NAME [--runs N] [--json]\nNAME is one of: ${Object.keys(benches).join(", ")}\n`,
  );
  process.exitCode = 2;
} else {
  const figures = await bench(runs);
  process.stdout.write(values.json ? printFigures(figures) : printTable(figures));
  if (figures.some(({ ok }) => !ok)) process.exitCode = 1;
}
