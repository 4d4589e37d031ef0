import { spawnSync } from "node:child_process";

/*
 * Runs the npm scripts named on the command line one after the other, and stops at the first that fails:
 *
 *   node test/gate/gate.ts format lint types
 */
const scripts = process.argv.slice(2);
const startedAt = performance.now();

for (const script of scripts) {
  console.log(`\n=== ${script}`);
  const scriptStartedAt = performance.now();
  const { status, signal, error } = spawnSync("npm", ["run", "--silent", script], { stdio: "inherit" });
  if (status !== 0) {
    console.log(`\ngate failed at: ${script} (${error?.message ?? signal ?? `exit status ${status}`})`);
    process.exit(1);
  }
  console.log(`--- ${script} passed in ${secondsSince(scriptStartedAt)} s`);
}
console.log(`\ngate passed in ${secondsSince(startedAt)} s: ${scripts.join(", ")}`);

function secondsSince(instant: number): string {
  return ((performance.now() - instant) / 1000).toFixed(1);
}
