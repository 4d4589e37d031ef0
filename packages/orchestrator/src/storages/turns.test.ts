import { expect, it } from "vitest";
import { Turns } from "./turns.ts";

it("gives one turn after the other for a name, in order, whatever became of the one before; names do not wait for each other", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const take = (name: string, mark: string, until?: Promise<void>) =>
    turns.take(name, async () => {
      log.push(`${mark} begins`);
      await until;
      log.push(`${mark} ends`);
      return mark;
    });
  const a = take("silo", "a", first.promise);
  const b = take("silo", "b");
  const c = take("silo", "c");
  expect(await take("other", "x")).toBe("x");
  expect(log).toEqual(["a begins", "x begins", "x ends"]);
  first.reject(new Error("broken"));
  await expect(a).rejects.toThrow("broken");
  expect(await Promise.all([b, c])).toEqual(["b", "c"]);
  expect(log.slice(3)).toEqual(["b begins", "b ends", "c begins", "c ends"]);
});

it("ends once what had come is over", async () => {
  const turns = new Turns();
  const under = Promise.withResolvers<void>();
  const taken = turns.take("silo", () => under.promise);
  let isOver = false;
  const end = turns.end().then(() => {
    isOver = true;
  });
  await turns.take("other", async () => undefined);
  expect(isOver).toBe(false);
  under.resolve();
  await Promise.all([taken, end]);
  expect(isOver).toBe(true);
});
