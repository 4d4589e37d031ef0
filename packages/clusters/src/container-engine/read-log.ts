import type { Place } from "./containers.ts";

/** Of the container: frames of a stream's number, three zeros, a length, and text. */
export async function readLog(
  { engine, name }: Place,
  id: string,
  tail: string,
  signal: AbortSignal,
): Promise<string> {
  const query = { stdout: "true", stderr: "true", tail };
  const what = `read the log of container ${id.slice(0, 12)} on ${name}`;
  const { bytes } = await engine.call({ method: "GET", path: `/containers/${id}/logs`, query, what, signal });
  const parts: string[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at + 4);
    parts.push(bytes.toString("utf8", at + 8, at + 8 + length));
    at += 8 + length;
  }
  return parts.join("");
}
