import { describe, expect, it } from "vitest";
import { assertListening } from "./assert-listening.ts";

const tls = { certificate: "/tls.crt", key: "/tls.key" };
const publicUrl = "https://baton.example";
const port = 7420;

describe("where the orchestrator listens", () => {
  it.each(["127.0.0.1", "127.8.0.1", "::1", "localhost"])("may be %s, which is loopback", (host) => {
    expect(() => assertListening({ listen: { host, port } })).not.toThrow();
  });

  it.each(["0.0.0.0", "::", "192.0.2.7", "example.org", "127.evil.org", "::ffff:127.0.0.1", "2001:db8::1"])(
    "may be %s only with TLS, or where somebody says that it is not needed",
    (host) => {
      expect(() => assertListening({ listen: { host, port }, publicUrl })).toThrow(
        `cannot listen on ${host}: it is not loopback, and tokens would travel in the clear; give BATON_TLS_CERTIFICATE_FILE`,
      );
      expect(() => assertListening({ listen: { host, port, tls }, publicUrl })).not.toThrow();
      expect(() => assertListening({ listen: { host, port, plainHttp: true }, publicUrl })).not.toThrow();
    },
  );

  it.each(["0.0.0.0", "::"])("is not %s unless agents can be told an address", (host) => {
    expect(() => assertListening({ listen: { host, port, tls } })).toThrow(
      "agents have to be told one; give BATON_PUBLIC_URL",
    );
  });
});
