import { type Explanation, type Place, formatRun } from "@baton/protocol";
import { formatMs, oneLine, stamp } from "./text.ts";

/** @param now wall clock in ms. */
export function explanationLines(explanation: Explanation, now: number): readonly string[] {
  const { operation, state, waitsFor, since, until, next, actions, places, lease, trouble } = explanation;
  const lines = [`${operation} is ${state}`];
  const add = (name: string, text: string): void => void lines.push(`  ${name.padEnd(9)}  ${oneLine(text)}`);
  if (waitsFor !== null) add("waits for", waitsFor);
  if (since !== null) add("since", `${stamp(since)}, for ${formatMs(Math.max(0, now - Date.parse(since)))}`);
  if (waitsFor !== null) add("until", until === null ? "it comes: there is no deadline" : stamp(until));
  add("then", next);
  for (const place of places) add(place.part, placeText(place));
  if (lease !== null) add("lease", lease);
  for (const why of [...trouble, ...places.flatMap((place) => place.trouble)]) add("unseen", why);
  if (actions.length > 0) lines.push("", "What can be done:");
  for (const { command, means } of actions) lines.push(`  ${command}`, `      ${means}`);
  return lines;
}

function placeText({ placement, cluster, agent, witness }: Place): string {
  const run = agent === null || agent.run === null ? "" : `, run ${formatRun(agent.run)}`;
  const seen =
    agent === null
      ? "its agent is not seen"
      : `its agent says ${agent.state} in epoch ${agent.epoch}${run}${agent.open ? ", open to clients" : ""}`;
  return `${placement} on ${cluster}: ${seen}; from outside ${witness ?? "nothing is seen"}`;
}
