import { parseArgs } from "node:util";
import { brokenVariants } from "./broken-variants.ts";
import { inLines, search } from "./search.ts";
import type { Variant } from "./simulate.ts";

/*
 * npm run simulate -- --seeds 100000 [--first 0] [--variant "keeps no receipt"]
 *
 * Plays whole operations from seed after seed, and prints the first that breaks a promise, cut down to what it needs.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    first: { type: "string", default: "0" },
    variant: { type: "string" },
  },
});
const variants: Readonly<Record<string, Variant>> = brokenVariants;
const { variant = null } = values;
if (variant !== null && variants[variant] === undefined) {
  console.error(`cannot simulate "${variant}": there is ${Object.keys(variants).join(", ")}`);
  process.exit(2);
}
const before = process.cpuUsage();
const { found, seeds, events, sights } = await search(variant === null ? {} : (variants[variant] ?? {}), {
  first: Number(values.first),
  count: Number(values.seeds),
});
const { user, system } = process.cpuUsage(before);
const seconds = (user + system) / 1e6;
if (found !== null) console.log(inLines(found).join("\n"));
console.log(
  `\n${seeds} seeds, ${events} events in ${seconds.toFixed(1)} s of one core: ${Math.round(events / seconds)} events per second`,
);
console.table(sights);
process.exitCode = found === null ? 0 : 1;
