import { AppError, type Operation, toAppError, toProblem } from "@baton/protocol";
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";

/** In ms. Whoever is cut off by the deadline comes back by itself, with the last version it has. */
export interface StreamTimings {
  readonly heartbeat: number;
  readonly deadline: number;
}

const usualTimings: StreamTimings = { heartbeat: 15_000, deadline: 600_000 };

type Find = (
  id: string,
  wait: { readonly after: number; readonly waitMs: number },
) => Promise<Operation | null>;

/**
 * The operation now and after each change, as Server-Sent Events named `operation` whose id is the version, until it has ended. It goes on after
 * `Last-Event-ID`; who has seen the end already is answered with 204, which tells an `EventSource` to stop asking.
 */
export async function streamOperation(
  context: Context,
  id: string,
  find: Find,
  { heartbeat, deadline }: StreamTimings = usualTimings,
): Promise<Response> {
  let last = parseVersion(context.req.header("last-event-id"));
  const first = await find(id, { after: -1, waitMs: 0 });
  if (first === null)
    throw new AppError(
      "unknown-operation",
      `cannot show the operation: there is none of this id; see "baton operation list"`,
    );
  if (first.endedAt !== null && first.version <= last) return context.body(null, 204);
  return streamSSE(context, async (stream) => {
    // Also when nobody reads what was sent.
    const cut = setTimeout(() => void stream.close(), deadline);
    let next: Operation | null = first;
    try {
      while (next !== null && !stream.aborted && !stream.closed) {
        if (next.version > last) {
          last = next.version;
          await stream.writeSSE({ event: "operation", id: String(last), data: JSON.stringify(next) });
        } else await stream.write(": still the same\n\n");
        if (next.endedAt !== null) return;
        next = await find(id, { after: last, waitMs: heartbeat });
      }
    } catch (error) {
      await stream.writeSSE({ event: "problem", data: JSON.stringify(toProblem(toAppError(error))) });
    } finally {
      clearTimeout(cut);
    }
  });
}

function parseVersion(text: string | undefined): number {
  if (text === undefined) return -1;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new AppError("invalid-request", "cannot stream the operation: Last-Event-ID must be a version of it");
}
