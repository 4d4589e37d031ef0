import { enableCompileCache } from "node:module";
import { readConfig } from "./config.ts";
import type { Config } from "./config.ts";
import type { Service } from "./serve.ts";

/** Exit codes: 0 stopped with everything durable, 1 failed, 2 bad configuration. */
const startedMs = performance.now();
let service: Service | null = null;
let stopping = false;

function log(event: string, facts: object): void {
  process.stdout.write(`${JSON.stringify({ event, at: Date.now(), ...facts })}\n`);
}

function exitWith(code: number, error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(code);
}

function parseConfig(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    return exitWith(2, error);
  }
}

async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  const begunMs = performance.now();
  log("stopping", { unflushed: service?.unflushed() ?? 0 });
  try {
    await service?.stop();
    log("stopped", { ms: Math.round(performance.now() - begunMs) });
    process.exit(0);
  } catch (error) {
    exitWith(1, error);
  }
}

// Before the heavy imports: a stop that comes while the state is rebuilt has nothing to lose and ends at once.
process.on("SIGTERM", () => void stop());
process.on("SIGINT", () => void stop());

const config = parseConfig();
// The imports are most of the time until ready; a warm cache takes a seventh off exec to ready. Failing to cache is no failure.
enableCompileCache();
const { startService } = await import("./serve.ts");
try {
  service = await startService(config, log);
  log("ready", { port: service.port, ms: Math.round(performance.now() - startedMs) });
} catch (error) {
  exitWith(1, error);
}
