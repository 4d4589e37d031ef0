import { describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";

const good = {
  PORT: "8080",
  AWS_ENDPOINT_URL_S3: "http://127.0.0.1:9000",
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "key",
  AWS_SECRET_ACCESS_KEY: "a-secret",
  BATON_BUCKET: "data",
  BATON_PREFIX: "ledger/",
};

describe("readConfig", () => {
  it("fills in the intervals", () => {
    expect(readConfig(good)).toMatchObject({ port: 8080, flushIntervalMs: 2_000, dirtyExpireMs: 750 });
  });

  it("acknowledges from memory unless told otherwise", () => {
    expect(readConfig(good).acknowledge).toBe("in-memory");
    expect(readConfig({ ...good, ACKNOWLEDGE: "durable" }).acknowledge).toBe("durable");
  });

  it("needs no key where the SDK is told where to ask for one", () => {
    expect(readConfig(good).credentials).toEqual({ accessKeyId: "key", secretAccessKey: "a-secret" });
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...rest } = good;
    expect([AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]).not.toContain(undefined);
    const AWS_CONTAINER_CREDENTIALS_FULL_URI = "http://127.0.0.1:1/v1/data-key";
    expect(readConfig({ ...rest, AWS_CONTAINER_CREDENTIALS_FULL_URI }).credentials).toBeNull();
  });

  it("names everything that is missing in one line", () => {
    expect(() => readConfig({})).toThrow(
      /^cannot start the ledger: PORT is not set; .*BATON_BUCKET is not set; BATON_PREFIX is not set$/,
    );
  });

  it.each([
    [{ PORT: "http" }, "PORT must be a whole number from 0 to 65535"],
    [{ PORT: "70000" }, "PORT must be a whole number from 0 to 65535"],
    [{ FLUSH_INTERVAL_MS: "-1" }, "FLUSH_INTERVAL_MS must be a whole number from 10 to 3600000"],
    [{ DIRTY_EXPIRE_MS: "soon" }, "DIRTY_EXPIRE_MS must be a whole number from 0 to 3600000"],
    [{ AWS_ENDPOINT_URL_S3: "localhost:9000" }, "AWS_ENDPOINT_URL_S3 must be an http or https URL"],
    [{ ACKNOWLEDGE: "soon" }, 'ACKNOWLEDGE must be "in-memory" or "durable"'],
    [{ BATON_PREFIX: "ledger" }, 'BATON_PREFIX must end with "/" and not start with it'],
  ])("refuses %o", (wrong, message) => {
    expect(() => readConfig({ ...good, ...wrong })).toThrow(message);
  });

  it("repeats no value in its complaint", () => {
    expect(() => readConfig({ ...good, PORT: "a-secret" })).toThrow(/^(?!.*a-secret)/);
  });
});
