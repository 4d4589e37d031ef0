import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const repository = join(import.meta.dirname, "../..");

/** Builds what is delivered, and gives its path. @throws with what the build said */
export async function buildAgent(): Promise<string> {
  await promisify(execFile)("npm", ["run", "--silent", "build", "-w", "@baton/agent"], {
    cwd: repository,
    timeout: 120_000,
  });
  return join(repository, "packages/agent/dist/baton-agent.cjs");
}
