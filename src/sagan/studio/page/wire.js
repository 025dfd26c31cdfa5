// Requests to the server. Of a kind only the newest counts: an older one is dropped here and there.

export class Stale extends Error {}

const KINDS = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };
export const PAGE = Math.random().toString(36).slice(2, 12);
const running = new Map();

/** Read a message of arrays: see binary.py. */
export function unpack(buffer, offset = 0) {
  const length = new DataView(buffer).getUint32(offset, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, offset + 4, length)));
  const arrays = {};
  for (const [name, told] of Object.entries(header.arrays)) {
    const count = told.shape.reduce((a, b) => a * b, 1);
    arrays[name] = { data: new KINDS[told.dtype](buffer, offset + 4 + length + told.begin, count), shape: told.shape };
  }
  return { ...header, arrays };
}

async function checked(answer) {
  if (answer.ok) return answer;
  if (answer.status === 409) throw new Stale();
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error ?? `the studio answered ${answer.status}`);
}

/** Ask, and read the answer: another of its lane that comes before the whole answer is there makes it stale. */
async function send(path, options, lane, read) {
  running.get(lane)?.abort();
  const control = new AbortController();
  if (lane) running.set(lane, control);
  try {
    return await read(await checked(await fetch(path, { ...options, signal: control.signal })));
  } catch (error) {
    if (control.signal.aborted) throw new Stale();
    if (error instanceof TypeError) throw new Error("the studio does not answer: was it ended? Start it again, then load this page again");
    throw error;
  }
}

const json = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const bytes = (data) => ({ method: "POST", headers: { "content-type": "application/octet-stream" }, body: data });
const asJson = (answer) => answer.json();
const asArrays = async (answer) => unpack(await answer.arrayBuffer());

export const get = (path, lane) => send(path, {}, lane, asJson);
export const getArrays = (path, lane) => send(path, {}, lane, asArrays);
export const post = (path, body, lane) => send(path, json(body), lane, asJson);
export const postArrays = (path, body, lane) => send(path, json(body), lane, asArrays);
export const sendPicture = (path, data) => send(path, bytes(data), "own", asArrays);

/** Have a file made and hand it to the browser; gives the command that makes it again. Without a body it is just fetched. */
export async function download(path, body) {
  const options = body === undefined ? {} : body instanceof Blob ? bytes(body) : json(body);
  const [answer, blob] = await send(path, options, "save", async (answer) => [answer, await answer.blob()]);
  const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition"))[1];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return { name, command: decodeURIComponent(answer.headers.get("x-command")) };
}
