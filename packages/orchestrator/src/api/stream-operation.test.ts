import { setTimeout as delay } from "node:timers/promises";
import type { AppError, Operation } from "@baton/protocol";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import { problemResponse } from "./problems.ts";
import { streamOperation } from "./stream-operation.ts";

const version = (number: number, change: Partial<Operation> = {}) =>
  ({ id: "op", version: number, endedAt: null, ...change }) as Operation;
const ended = { endedAt: "2026-01-01T00:00:00Z" };

/** Answers with these one after the other, as they become newer than what was asked for. */
function serve(...answers: (Operation | null | Error)[]) {
  const asked: { after: number; waitMs: number }[] = [];
  const app = new Hono();
  app.onError((error, context) => problemResponse(error as AppError, context.req.raw));
  app.get("/", (context) =>
    streamOperation(
      context,
      "op",
      async (_, wait) => {
        asked.push(wait);
        await delay(wait.waitMs);
        const next = answers.length > 1 ? answers.shift() : answers[0];
        if (next instanceof Error) throw next;
        if (next === undefined) throw new Error("nothing more was to be asked");
        return next;
      },
      { heartbeat: 5, deadline: 100 },
    ),
  );
  const get = (lastEventId?: string) =>
    app.request("/", { headers: lastEventId === undefined ? {} : { "last-event-id": lastEventId } });
  return { asked, get };
}

const eventsIn = (text: string) =>
  text
    .split("\n\n")
    .filter((part) => part !== "")
    .map((part) => (part.startsWith(":") ? "heartbeat" : (/^id: (.*)$/m.exec(part)?.[1] ?? part)));

describe("the events of an operation", () => {
  it("are its record now and after every change, until it ends", async () => {
    const { asked, get } = serve(version(1), version(2), version(4, ended));
    const answer = await get();
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    const text = await answer.text();
    expect(eventsIn(text)).toEqual(["1", "2", "4"]);
    expect(text).toContain(`event: operation\ndata: ${JSON.stringify(version(4, ended))}\nid: 4`);
    expect(asked.map(({ after }) => after)).toEqual([-1, 1, 2]);
  });

  it("have a heartbeat while nothing changes", async () => {
    const { get } = serve(version(1), version(1), version(1), version(2, ended));
    expect(eventsIn(await (await get()).text())).toEqual(["1", "heartbeat", "heartbeat", "2"]);
  });

  it("go on after the last one that was seen", async () => {
    const { get } = serve(version(3), version(4, ended));
    expect(eventsIn(await (await get("3")).text())).toEqual(["heartbeat", "4"]);
    expect(eventsIn(await (await serve(version(7, ended)).get("3")).text())).toEqual(["7"]);
  });

  it("are over for who has seen the end", async () => {
    expect((await serve(version(4, ended)).get("4")).status).toBe(204);
  });

  it("end at the deadline", async () => {
    const since = performance.now();
    const { get } = serve(version(1));
    expect(eventsIn(await (await get()).text())[0]).toBe("1");
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it("are refused for what is not there, and after what is no version", async () => {
    expect((await serve(null).get()).status).toBe(404);
    expect((await serve(version(1)).get("yesterday")).status).toBe(400);
  });

  it("end with a problem that shows nothing of the inside", async () => {
    const text = await (await serve(version(1), new Error("password hunter2")).get()).text();
    expect(text).toContain("event: problem");
    expect(text).not.toContain("hunter2");
  });
});
