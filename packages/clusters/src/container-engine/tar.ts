/** The little of tar (POSIX ustar) that an engine's archive calls need. */
export interface TarEntry {
  /** Relative, at most 100 bytes; one that ends with "/" is a directory. */
  readonly name: string;
  readonly content?: Buffer | undefined;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const block = 512;

export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const { content = Buffer.alloc(0) } = entry;
    return [headerOf(entry, content.length), content, Buffer.alloc(-content.length & (block - 1))];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function headerOf({ name, mode, uid, gid }: TarEntry, size: number): Buffer {
  const header = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number): void => {
    header.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  };
  header.write(name, 0, 100, "utf8");
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(gid, 116, 8);
  octal(size, 124, 12);
  octal(Math.floor(Date.now() / 1_000), 136, 12);
  header.write("        ", 148, "latin1");
  header.write(name.endsWith("/") ? "5" : "0", 156, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

/** The first regular file of an archive, or null where there is none; headers of extensions are passed over. */
export function firstFile(archive: Buffer): Buffer | null {
  for (let at = 0; at + block <= archive.length;) {
    const header = archive.subarray(at, at + block);
    if (header[0] === 0) return null;
    const size = Number.parseInt(header.toString("latin1", 124, 136), 8);
    if (!Number.isSafeInteger(size) || size < 0) return null;
    const type = header.toString("latin1", 156, 157);
    const content = archive.subarray(at + block, at + block + size);
    if (type === "0" || type === "\0") return content.length === size ? content : null;
    at += block + Math.ceil(size / block) * block;
  }
  return null;
}
