import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { type TrafficPluginManifest, trafficTarget } from "@baton/protocol";
import { runProgram } from "./run-program.ts";
import { tellingBody } from "./telling-body.ts";
import { cannotTell, whyEnded } from "./traffic-error.ts";
import type { Telling, TrafficPlugin } from "./traffic-plugin.port.ts";

/** The facts come as JSON on its standard input and, one by one, in its environment, which has nothing else but PATH. */
export function openCommand(manifest: Extract<TrafficPluginManifest, { plugin: "command" }>): TrafficPlugin {
  const target = trafficTarget(manifest);
  const [program = ""] = manifest.command;
  return {
    async check() {
      const why = await whyNotExecutable(program);
      if (why !== null) throw cannotTell(target, "traffic-unusable", `${program} ${why}`);
    },
    async tell(telling, signal) {
      const { status, words } = await runProgram({
        command: manifest.command,
        environment: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", ...facts(telling) },
        input: tellingBody(telling),
        signal,
      });
      if (status === 0) return;
      const why = whyEnded(signal);
      throw cannotTell(
        target,
        "traffic-failed",
        why === null ? `it ${words}` : `${why} and was killed (${words})`,
      );
    },
  };
}

/** What is not there is empty. */
const facts = ({ application, epoch, revision, route, previous }: Telling): Record<string, string> => ({
  BATON_APPLICATION: application,
  BATON_EPOCH: String(epoch),
  BATON_REVISION: String(revision),
  BATON_CLUSTER: route?.cluster ?? "",
  BATON_PLACEMENT: route?.placement ?? "",
  BATON_URL: route?.url ?? "",
  BATON_PREVIOUS_CLUSTER: previous?.cluster ?? "",
  BATON_PREVIOUS_PLACEMENT: previous?.placement ?? "",
  BATON_PREVIOUS_URL: previous?.url ?? "",
});

async function whyNotExecutable(program: string): Promise<string | null> {
  try {
    if (!(await stat(program)).isFile()) return "is no file; name a program";
    await access(program, constants.X_OK);
    return null;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    return code === "ENOENT"
      ? "is not there; install it on the orchestrator's machine"
      : `may not be executed by the orchestrator's user (${code})`;
  }
}
