/** The command line of the development store; see the README beside it. Never for production. */
import { parseArgs } from "node:util";
import { startDevStore } from "./dev-store.ts";

const usage =
  "usage: main.ts --directory DIR --keys FILE [--host 127.0.0.1] [--port 0] [--faults ignore-conditions]";

function readArguments(): Parameters<typeof startDevStore>[0] {
  const { values } = parseArgs({
    options: {
      directory: { type: "string" },
      keys: { type: "string" },
      host: { type: "string" },
      port: { type: "string", default: "0" },
      faults: { type: "string" },
    },
  });
  const { directory, keys: keysFile, host, faults } = values;
  if (directory === undefined || keysFile === undefined) throw new Error("--directory and --keys are needed");
  if (!/^\d{1,5}$/.test(values.port)) throw new Error("--port must be a number");
  if (faults !== undefined && faults !== "ignore-conditions")
    throw new Error(`--faults knows ignore-conditions, not ${faults}`);
  const ignoreConditions = faults === "ignore-conditions";
  return { directory, keysFile, host, port: Number(values.port), faults: { ignoreConditions } };
}

function report(level: "warn" | "error", message: string): void {
  process.stderr.write(`${JSON.stringify({ level, name: "dev-store", message })}\n`);
}

async function main(): Promise<void> {
  const onError = (error: unknown): void =>
    report("error", error instanceof Error ? `${error.stack}` : String(error));
  let options: ReturnType<typeof readArguments>;
  try {
    options = readArguments();
  } catch (error) {
    report("error", `${(error as Error).message}; ${usage}`);
    process.exitCode = 2;
    return;
  }
  const store = await startDevStore({ ...options, onError });
  // Before the ready line: whoever reads that may send a signal at once.
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      store.close().catch(onError);
    });
  }
  report("warn", "this S3 endpoint is for development and tests, never for production");
  process.stdout.write(`${JSON.stringify({ ready: true, endpoint: store.endpoint })}\n`);
}

main().catch((error: unknown) => {
  report("error", error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
