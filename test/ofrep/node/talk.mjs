// Reads one command a line and writes one answer a line, so that a test can do
// something to the server in between.
import { createInterface } from 'node:readline';

export function say(message) {
  process.stdout.write(JSON.stringify(message) + '\n');
}

export async function obey(commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...args } = JSON.parse(line);
    const began = performance.now();
    try {
      say({ answer: await commands[name](args), ms: performance.now() - began });
    } catch (e) {
      say({ answer: { threw: e.code ?? e.name, message: String(e.message) }, ms: performance.now() - began });
    }
  }
  process.exit(0);
}

export const evaluate = async (client, { type, key, default: fallback, context }) => {
  const ask = { boolean: 'getBooleanDetails', string: 'getStringDetails', number: 'getNumberDetails', object: 'getObjectDetails' }[type];
  const d = await client[ask](key, fallback, ...(context ? [context] : []));
  return { value: d.value, reason: d.reason, variant: d.variant, error: d.errorCode ?? '', metadata: d.flagMetadata };
};
