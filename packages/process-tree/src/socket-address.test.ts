import { SocketAddress } from "node:net";
import { endianness } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatEndpoint, parseEndpoint, plainAddress } from "./socket-address.ts";

/** As /proc/net prints the bytes of an address: each word of four as a number of this machine. */
function printed(bytes: Uint8Array): string {
  const words = Buffer.from(bytes);
  if (endianness() === "LE") words.swap32();
  return words.toString("hex").toUpperCase();
}

describe("parseEndpoint", () => {
  it("reads IPv4, IPv6 and IPv4 within IPv6", () => {
    const read = (bytes: number[], port: string): string =>
      formatEndpoint(parseEndpoint(`${printed(Uint8Array.from(bytes))}:${port}`));
    expect(read([127, 0, 0, 1], "18EB")).toBe("127.0.0.1:6379");
    expect(read(Array(16).fill(0), "0035")).toBe("[::]:53");
    expect(read([...Array(15).fill(0), 1], "0050")).toBe("[::1]:80");
    expect(read([...Array(10).fill(0), 255, 255, 10, 0, 0, 9], "2328")).toBe("[::ffff:10.0.0.9]:9000");
    expect(read([0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 1], "FFFF")).toBe("[2001:db8::1]:65535");
  });

  it("spells every IPv6 address as Node does", () => {
    // Mostly zeros, as these are what can be shortened in several ways.
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const bytes = Buffer.from(groups.flatMap((value) => [value >> 8, value & 0xff]));
        const text = groups.map((value) => value.toString(16)).join(":");
        const { address } = parseEndpoint(`${printed(bytes)}:0000`);
        expect(plainAddress(address)).toBe(plainAddress(text));
        // Node writes ::1.2.3.4 for what begins with 96 zero bits, which RFC 4291 gave up.
        if (groups.slice(0, 6).some((value) => value !== 0))
          expect(address).toBe(new SocketAddress({ address: text, family: "ipv6" }).address);
      }),
    );
  });

  it("throws for any other form", () => {
    for (const text of ["", "0100007F", "0100007F:50", "0100007:0050", "0100007F:0050 ", "0100007G:0050"])
      expect(() => parseEndpoint(text)).toThrow("cannot read the socket address");
  });
});

describe("plainAddress", () => {
  it("gives one spelling for one host", () => {
    for (const address of ["10.0.0.1", "::ffff:10.0.0.1", "::FFFF:a00:1", "0:0:0:0:0:ffff:10.0.0.1"])
      expect(plainAddress(address)).toBe("10.0.0.1");
    for (const address of ["2001:db8::1", "2001:DB8:0:0:0::0001", "2001:db8::1%eth0"])
      expect(plainAddress(address)).toBe("2001:db8::1");
  });

  it("throws for what is no IP address", () => {
    for (const address of ["", "localhost", "256.0.0.1", "1.2.3", ":::", "1:2"])
      expect(() => plainAddress(address)).toThrow(TypeError);
  });
});
