import { isAppError } from "@baton/protocol";
import { controlPrefix } from "../prefix.ts";
import type { ProbeDoor, Within } from "./probe-door.ts";
import { type ProbeTest, verdict } from "./probe-tests.ts";

/** Whether the application's key does what it must, and is kept out of the control prefix, at every endpoint (rule 9). */
export async function probeApplicationKey(params: {
  readonly doors: readonly ProbeDoor[];
  readonly dataKey: string;
  readonly controlKey: string;
  readonly content: string;
  readonly within: Within;
}): Promise<readonly ProbeTest[]> {
  const { doors, dataKey, controlKey, content, within } = params;
  const each = async (run: (door: ProbeDoor) => Promise<string>, expected: string) => {
    const seen: string[] = [];
    for (const door of doors) seen.push(await run(door).catch(deniedOr));
    const wrong = seen.findIndex((text) => text !== expected && !text.startsWith(`${expected}: `));
    const detail = seen[wrong] ?? seen[0] ?? "";
    const where = doors.length > 1 && wrong >= 0 ? ` at ${doors[wrong]?.endpoint}` : "";
    return { passed: wrong === -1, detail: `${detail}${where}` };
  };
  const own = await each(async ({ data }) => {
    await data.put(within({ key: dataKey, body: content }));
    const read = await data.get(within({ key: dataKey }));
    return Buffer.from(read?.body ?? "").toString("utf8") === content ? "same bytes" : "other bytes";
  }, "same bytes");
  const write = await each(
    async ({ data }) => (await data.put(within({ key: controlKey, body: "by the application" }))).kind,
    "denied",
  );
  const remove = await each(async ({ data }) => {
    await data.remove(within({ key: controlKey }));
    return "removed";
  }, "denied");
  return [
    verdict("the application's key writes and reads below its prefix", own.passed, own.detail),
    verdict(`the application's key cannot write below ${controlPrefix}`, write.passed, write.detail),
    verdict(`the application's key cannot remove below ${controlPrefix}`, remove.passed, remove.detail),
  ];
}

/** A denial is an answer; anything else ends the probe. */
function deniedOr(error: unknown): string {
  if (isAppError(error) && error.code === "storage-credentials") return `denied: ${error.message}`;
  throw error;
}
