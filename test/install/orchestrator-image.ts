/** The image of docker/orchestrator, built from what this checkout's command is bundled to. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Podman } from "../containers/podman.ts";

const repository = join(import.meta.dirname, "../..");
const image = "localhost/baton-test/orchestrator:latest";

/** @param agentImage of docker/agent */
export async function buildOrchestratorImage(podman: Podman, agentImage: string): Promise<string> {
  await promisify(execFile)("npm", ["run", "--silent", "build", "-w", "@baton/cli"], {
    cwd: repository,
    timeout: 120_000,
  });
  const file = join(repository, "docker/orchestrator/Dockerfile");
  // OCI's own format has no health check.
  const args = [
    "build",
    "--quiet",
    "--pull=never",
    "--format",
    "docker",
    "--build-arg",
    `AGENT=${agentImage}`,
  ];
  await podman.read([...args, "--tag", image, "--file", file, join(repository, "packages/cli/dist")], {
    timeoutMs: 180_000,
  });
  return image;
}
