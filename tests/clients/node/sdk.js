// LunaSec's own SDK against the real vault. Reads what it needs as JSON from standard input; prints
// one line per check, `ok NAME` or `FAIL NAME: WHY`.
'use strict';

const assert = require('node:assert');
const http = require('node:http');
const { File } = require('node:buffer');
const { Tokenizer, SimpleTokenizer, isToken } = require('@lunasec/tokenizer-sdk');

// The SDK's file functions expect a browser's `File`; Node has had one as a global since version 20.
globalThis.File ??= File;

const given = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const as = (subject, more) =>
  new Tokenizer({ url: given.url, authenticationToken: given.jwts[subject], ...more });

async function token(subject, value, metadata = { dataType: 'string' }) {
  const made = await as(subject).tokenize(value, metadata);
  assert.ok(made.success, made.error?.name);
  return made.tokenId;
}

/** A refusal as the SDK hands it on: resolved, with our name, and no TypeError of its own making. */
function refused(result, name, code) {
  assert.strictEqual(result.success, false);
  assert.strictEqual(result.error.constructor.name, 'LunaSecError');
  assert.deepStrictEqual([result.error.name, result.error.code], [name, code]);
  assert.ok(result.error.message.length > 0);
}

const checks = {
  async 'a text comes back'() {
    const made = await as('user').tokenize(given.value, { dataType: 'string' });
    assert.ok(made.success && isToken(made.tokenId));
    const read = await as('user').detokenize(made.tokenId);
    assert.deepStrictEqual(read, { success: true, tokenId: made.tokenId, value: given.value });
  },

  async 'a buffer and an empty text come back'() {
    for (const value of [Buffer.from('some bytes'), '']) {
      const read = await as('user').detokenize(await token('user', value));
      assert.strictEqual(read.value, value.toString());
    }
  },

  async 'nine megabytes come back'() {
    const value = 'nine megabytes'.repeat(674_000);
    const read = await as('application').detokenize(await token('application', value));
    assert.ok(read.success && read.value === value);
  },

  async 'metadata comes back as it was given'() {
    const metadata = { dataType: 'string', customFields: { note: given.note, n: 1.5 } };
    const id = await token('user', given.value, metadata);
    const read = await as('user').getMetadata(id);
    assert.deepStrictEqual(read, { success: true, metadata, tokenId: id });
  },

  async 'a grant lets another session read'() {
    const id = await token('application', given.value);
    refused(await as('user').detokenize(id), 'NoSuchToken', '404');
    const before = await as('application').verifyGrant(given.session, id);
    assert.deepStrictEqual(before, { success: true, valid: false });
    assert.deepStrictEqual(await as('application').createGrant(given.session, id), { success: true });
    const after = await as('application').verifyGrant(given.session, id);
    assert.deepStrictEqual(after, { success: true, valid: true });
    assert.strictEqual((await as('user').detokenize(id)).value, given.value);
  },

  async 'a grant takes a duration'() {
    const id = await token('application', given.value);
    const set = await as('application').createGrant(given.session, id, '1m30s');
    assert.deepStrictEqual(set, { success: true });
    const long = await as('application').createGrant(given.session, id, '5h');
    refused(long, 'InvalidDuration', '400');
  },

  async 'a token is verified by the application before it is saved'() {
    const id = await token('user', given.value);
    const verified = await as('application').verifyGrant(given.session, id);
    assert.deepStrictEqual(verified, { success: true, valid: true });
  },

  async 'a locked tokenizer refuses another session'() {
    const id = await token('user', given.value);
    const locked = as('user', { lockToSession: true });
    assert.strictEqual((await locked.detokenize(id)).value, given.value);
    assert.strictEqual((await locked.detokenize(id)).value, given.value);
    for (const header of Object.keys(locked.reqOptions.headers)) {
      if (header.toLowerCase() === 'authorization') {
        locked.reqOptions.headers[header] = given.jwts.otherUser;
      }
    }
    refused(await locked.detokenize(id), 'SessionMismatch', '401');
  },

  async 'a file comes back with its name, type and time'() {
    const options = { type: 'text/plain', lastModified: 1_700_000_000_000 };
    const file = new File([given.value], 'passport.txt', options);
    const made = await as('user').tokenizeFile(file, { note: given.note });
    assert.ok(made.success, made.error?.name);
    const read = await as('user').detokenizeFile(made.tokenId);
    assert.ok(read.success, read.error?.name);
    const { name, type, lastModified } = read.file;
    assert.deepStrictEqual({ name, type, lastModified }, { name: file.name, ...options });
    assert.strictEqual(await read.file.text(), given.value);
    const info = await as('user').detokenizeToFileInfo(await token('user', given.value));
    refused(info, 'wrongMetaDataType', '400');
  },

  async 'every refusal is an error that the SDK understands'() {
    const unknown = 'lunasec-00000000-0000-4000-8000-000000000000';
    const bare = new Tokenizer({ url: given.url });
    refused(await bare.tokenize('x', null), 'NotAuthenticated', '401');
    const forged = new Tokenizer({ url: given.url, authenticationToken: 'a.b.c' });
    refused(await forged.detokenize(unknown), 'NotAuthenticated', '401');
    refused(await as('user').createGrant('s', unknown), 'NotAllowed', '403');
    refused(await as('user').detokenize(unknown), 'NoSuchToken', '404');
    refused(await as('user').getMetadata(unknown), 'NoSuchToken', '404');
    refused(await as('application').createGrant('s', unknown), 'NoSuchToken', '404');
    refused(await as('user').detokenize('4111'), 'InvalidRequest', '400');
    refused(await as('user').tokenize('x', 'no object'), 'InvalidRequest', '400');
    const large = { dataType: 'string', customFields: { x: 'y'.repeat(200_000) } };
    refused(await as('user').tokenize('x', large), 'TooLarge', '413');
    const lost = new Tokenizer({ url: `${given.url}/nowhere`, authenticationToken: given.jwts.user });
    refused(await lost.tokenize('x', null), 'NoSuchRoute', '404');
  },

  async 'a base URL may end in a slash'() {
    const slashed = as('user', { url: `${given.url}/` });
    const made = await slashed.tokenize(given.value, null);
    assert.ok(made.success, made.error?.name);
    assert.strictEqual((await slashed.detokenize(made.tokenId)).value, given.value);
  },

  async 'the simple tokenizer works through a back end that adds its JWT'() {
    const backEnd = http.createServer((incoming, outgoing) => {
      const vault = new URL(incoming.url, given.url);
      const { host, ...headers } = incoming.headers;
      headers.authorization = given.jwts.application;
      const onward = http.request(vault, { method: incoming.method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(onward);
    });
    await new Promise((listening) => backEnd.listen(0, '127.0.0.1', listening));
    try {
      const simple = new SimpleTokenizer({ host: `http://127.0.0.1:${backEnd.address().port}` });
      const made = await simple.tokenize(given.value);
      assert.ok(made.success, made.error?.name);
      assert.strictEqual((await simple.detokenize(made.tokenId)).value, given.value);
      refused(await simple.detokenize('4111'), 'InvalidRequest', '400');
    } finally {
      backEnd.close();
      backEnd.closeAllConnections();
    }
    const direct = new SimpleTokenizer({ host: given.url });
    refused(await direct.tokenize(given.value), 'NotAuthenticated', '401');
  },
};

async function main() {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${name}`);
    } catch (fault) {
      console.log(`FAIL ${name}: ${String(fault.message).replaceAll('\n', ' ').slice(0, 300)}`);
    }
  }
}

main();
