// Reads a stream of parts (lengths of head and body, head, body) and decodes its pictures, away from the page's thread.

const LONGEST_PAUSE = 10000;
let stop = null;

self.addEventListener('message', ({ data }) => {
  stop?.abort();
  stop = new AbortController();
  if (data.cameras.length) run(data, stop.signal);
});

async function run({ token, cameras, width, fps }, signal) {
  const query = new URLSearchParams({ cameras: cameras.join(','), width, fps });
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      const response = await fetch(`/api/v1/live?${query}`, { signal, headers: token ? { authorization: `Bearer ${token}` } : {} });
      if (response.status === 401) { self.postMessage({ type: 'unauthorized' }); return; }
      if (response.ok) {
        self.postMessage({ type: 'connection', connected: true });
        failures = 0;
        await read(response.body.getReader(), signal);
      }
    } catch {
      if (signal.aborted) return;
    }
    self.postMessage({ type: 'connection', connected: false });
    await new Promise((done) => { setTimeout(done, Math.min(LONGEST_PAUSE, 500 * 2 ** failures)); });
  }
}

async function read(reader, signal) {
  const bytes = new Bytes(reader);
  for (;;) {
    const lengths = await bytes.take(8);
    if (!lengths) return;
    const view = new DataView(lengths.buffer, lengths.byteOffset);
    const head = await bytes.take(view.getUint32(0));
    const body = head && await bytes.take(view.getUint32(4));
    if (!body || signal.aborted) return;
    const said = JSON.parse(new TextDecoder().decode(head));
    if (said.type === 'picture') await picture(said, body, signal);
    else self.postMessage(said);
  }
}

/** Decoded before the next is read: where that is slow, fewer are sent. */
async function picture(said, body, signal) {
  try {
    const bitmap = await createImageBitmap(new Blob([body], { type: 'image/jpeg' }));
    if (signal.aborted) bitmap.close();
    else self.postMessage({ ...said, bitmap }, [bitmap]);
  } catch {
    // a picture that cannot be decoded is followed by another one
  }
}

/** Bytes out of chunks of whatever size. */
class Bytes {
  constructor(reader) {
    this.reader = reader;
    this.chunks = [];
    this.length = 0;
  }

  /** So many bytes; undefined where the stream is over before. */
  async take(count) {
    while (this.length < count) {
      const { done, value } = await this.reader.read();
      if (done) return undefined;
      this.chunks.push(value);
      this.length += value.length;
    }
    const out = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      const chunk = this.chunks[0];
      const part = chunk.subarray(0, count - filled);
      out.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) this.chunks.shift();
      else this.chunks[0] = chunk.subarray(part.length);
    }
    this.length -= count;
    return out;
  }
}
