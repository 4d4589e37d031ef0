import { parseArgs } from "node:util";
import { series } from "./series.ts";
import { type Torment, type Wanted, matrix, stepsOf, tormentOf, victims } from "./torment.ts";

/*
 * npm run torture -- --runs 100 [--seed 1]      random blows, seed after seed
 * npm run torture -- --matrix [--from 0] [--runs 20]   each victim killed at each step, warm and cold
 *
 * Either narrowed by --victim "source agent", --step stop, --cold or --warm. --keep leaves the directory of what broke,
 * --seconds begins no run later.
 */
const { values } = parseArgs({
  options: {
    runs: { type: "string" },
    seed: { type: "string", default: "1" },
    matrix: { type: "boolean", default: false },
    from: { type: "string", default: "0" },
    victim: { type: "string" },
    step: { type: "string" },
    cold: { type: "boolean" },
    warm: { type: "boolean" },
    keep: { type: "boolean", default: false },
    seconds: { type: "string" },
  },
});
const victim = victims.find((name) => name === values.victim);
if (values.victim !== undefined && victim === undefined)
  fail(`there is no victim "${values.victim}", only ${victims.join(", ")}`);
if (values.step !== undefined && !stepsOf(false).includes(values.step))
  fail(`there is no step "${values.step}", only ${stepsOf(false).join(", ")}`);
const cold = values.cold === true ? true : values.warm === true ? false : undefined;
const wanted: Wanted = { victim, step: values.step, cold };

const first = Number(values.seed);
const from = Number(values.from);
const cells: readonly { readonly name: string; readonly torment: Torment }[] = values.matrix
  ? matrix(wanted)
      .map((torment, at) => ({ name: `cell ${at}`, torment }))
      .slice(from, from + Number(values.runs ?? "1000"))
  : Array.from({ length: Number(values.runs ?? "10") }, (_, at) => ({
      name: `seed ${first + at}`,
      torment: tormentOf(first + at, wanted),
    }));
const seconds = values.seconds === undefined ? Infinity : Number(values.seconds);
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
const { broken } = await series(cells, {
  say: (line) => console.log(line),
  keep: values.keep,
  seconds,
  signal: interrupted.signal,
});
process.exitCode = broken === 0 ? 0 : 1;

function fail(why: string): never {
  console.error(`cannot begin: ${why}`);
  process.exit(2);
}
