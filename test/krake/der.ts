/** As much of DER (X.690) as an X.509 certificate needs: each function gives one encoded value. */
function encode(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 128) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = Buffer.from(content.length.toString(16).replace(/^(.(..)*)$/, "0$1"), "hex");
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}

export const sequence = (...parts: readonly Buffer[]): Buffer => encode(0x30, ...parts);
export const set = (...parts: readonly Buffer[]): Buffer => encode(0x31, ...parts);
export const boolean = (value: boolean): Buffer => encode(0x01, Buffer.from([value ? 0xff : 0]));
export const utf8 = (text: string): Buffer => encode(0x0c, Buffer.from(text));
export const octets = (content: Buffer): Buffer => encode(0x04, content);
export const bits = (content: Buffer): Buffer => encode(0x03, Buffer.from([0]), content);
export const nothing = encode(0x05);
/** In the context of a sequence, by number; `isPrimitive` for content that is not itself encoded. */
export const tagged = (tag: number, content: Buffer, isPrimitive = false): Buffer =>
  encode((isPrimitive ? 0x80 : 0xa0) | tag, content);
/** Not negative. DER wants the shortest form: no zero in front that the sign does not need. */
export function integer(value: number | Buffer): Buffer {
  const bytes = typeof value === "number" ? Buffer.from([value]) : value;
  const first = bytes.findIndex((byte) => byte !== 0);
  const short = first === -1 ? Buffer.from([0]) : bytes.subarray(first);
  return encode(0x02, (short[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.from([0]), short]) : short);
}
/** Seconds of UTC, before 2050. */
export const utcTime = (date: Date): Buffer =>
  encode(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-:T]/g, "")}Z`));

export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const sevens = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) sevens.unshift((high & 0x7f) | 0x80);
    bytes.push(...sevens);
  }
  return encode(0x06, Buffer.from(bytes));
}
