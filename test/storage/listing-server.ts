import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";

/** What the object of a number is, from 0; the keys must be in order. */
export type ObjectAt = (n: number) => { readonly key: string; readonly size: number; readonly etag: string };

export interface ListingServer {
  readonly endpoint: string;
  /** Answered so far. */
  requests(): number;
  close(): Promise<void>;
}

/** An S3 endpoint that lists `count` objects, a thousand a page, as versions, and holds none of them. */
export async function serveListing(count: number, objectAt: ObjectAt): Promise<ListingServer> {
  let requests = 0;
  const server = http.createServer((request, response) => {
    requests += 1;
    const { searchParams } = new URL(request.url ?? "", "http://store");
    const after = searchParams.get("key-marker");
    const from = after === null ? 0 : Number(/\d+$/.exec(after)?.[0]) + 1;
    const to = Math.min(count, from + 1_000);
    const objects = Array.from({ length: to - from }, (_, n) => objectAt(from + n));
    const next = objects.at(-1);
    const more = next !== undefined && to < count;
    response.setHeader("content-type", "application/xml");
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
        `<Name>harbor</Name><Prefix>data/</Prefix><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>` +
        `<IsTruncated>${more}</IsTruncated>` +
        (more ? `<NextKeyMarker>${encodeURIComponent(next.key)}</NextKeyMarker>` : "") +
        objects.map(versionElement).join("") +
        "</ListVersionsResult>",
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const versionElement = ({ key, size, etag }: ReturnType<ObjectAt>): string =>
  `<Version><Key>${encodeURIComponent(key)}</Key><VersionId>${etag.slice(0, 16)}</VersionId><IsLatest>true</IsLatest>` +
  `<LastModified>2025-09-06T10:20:30.000Z</LastModified><ETag>&quot;${etag}&quot;</ETag><Size>${size}</Size>` +
  `<Owner><ID>75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a</ID><DisplayName>owner</DisplayName></Owner>` +
  `<StorageClass>STANDARD</StorageClass></Version>`;
