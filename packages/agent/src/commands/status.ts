import { type AgentStatus, agentStatusSchema, formatRun, parseAs } from "@baton/protocol";
import { callLocally } from "../local-call.ts";
import { readLocalArguments } from "./local-arguments.ts";

const timeoutMs = 5_000;

/** Shows what the agent beside us sees; `--explain`: also what it waits for. */
export async function status(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const { values, stateDirectory } = readLocalArguments(
    args,
    environment,
    { explain: { type: "boolean" }, json: { type: "boolean" } },
    "status takes --explain, --json",
  );
  const answer = await callLocally({ stateDirectory, method: "GET", path: "/status", timeoutMs });
  const seen = parseAs(agentStatusSchema, answer, "the agent's status", "agent-failed");
  const text = values.json === true ? JSON.stringify(seen) : inWords(seen, values.explain === true);
  process.stdout.write(`${text}\n`);
}

function inWords(seen: AgentStatus, explains: boolean): string {
  const { lease, waiting } = seen;
  const lines = [
    ["state", seen.state],
    ["placement", seen.placement],
    ["epoch", String(seen.epoch)],
    ["run", seen.run === null ? "none yet" : formatRun(seen.run)],
    ["ready", seen.ready ? "yes" : "no"],
    ["clients", seen.open ? "let in" : "kept out"],
    ["lease", `${lease.lost ? "LOST: " : ""}${lease.detail ?? "unknown"}`],
  ];
  if (explains)
    lines.push(
      ...(waiting === null
        ? [["waiting for", "nothing but commands"]]
        : [
            ["waiting for", waiting.for],
            ["since", waiting.since],
            ["until", waiting.until ?? "no end"],
            ["next", waiting.next],
          ]),
    );
  return lines.map(([name = "", value = ""]) => `${name.padEnd(12)}${value}`).join("\n");
}
