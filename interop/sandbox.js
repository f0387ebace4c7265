// Sandboxes: made, found, listed, stopped, deleted.
import assert from 'node:assert/strict'
import { Daytona, DaytonaNotFoundError } from '@daytona/sdk'
import { step, until } from './steps.js'

// Returns the sandbox that everything else happens in, or undefined.
export async function begin(client) {
  let sandbox
  await step('create a sandbox', async () => {
    sandbox = await client.create({
      name: 'interop',
      language: 'python',
      labels: { purpose: 'interop' },
      envVars: { GREETING: 'bonjour' },
      autoStopInterval: 30,
    })
    assert.equal(sandbox.state, 'started')
    assert.equal(sandbox.name, 'interop')
    assert.equal(sandbox.labels.purpose, 'interop')
    assert.equal(sandbox.autoStopInterval, 30)
  })
  if (!sandbox) return

  await step('get it by id and by name', async () => {
    assert.equal((await client.get(sandbox.id)).name, 'interop')
    assert.equal((await client.get('interop')).id, sandbox.id)
    await assert.rejects(client.get('no-such-sandbox'), DaytonaNotFoundError)
  })

  await step('list sandboxes, by label too', async () => {
    const all = []
    for await (const s of client.list()) all.push(s.id)
    assert.ok(all.includes(sandbox.id))
    const found = []
    for await (const s of client.list({ labels: { purpose: 'interop' } })) found.push(s.id)
    assert.deepEqual(found, [sandbox.id])
    for await (const s of client.list({ labels: { purpose: 'other' } })) assert.fail(s.id)
  })
  return sandbox
}

export async function end(client, sandbox) {
  await step('stop and start it; files stay', async () => {
    await sandbox.fs.uploadFile(Buffer.from('still here'), 'kept.txt')
    await sandbox.stop()
    assert.equal(sandbox.state, 'stopped')
    await sandbox.start()
    assert.equal(sandbox.state, 'started')
    assert.equal((await sandbox.process.executeCommand('cat kept.txt')).result, 'still here')
  })

  await step('delete it', async () => {
    await sandbox.delete()
    await until(async () => {
      for await (const s of client.list()) if (s.id === sandbox.id) return false
      return true
    }, 'the list without it')
    await assert.rejects(client.get(sandbox.id), DaytonaNotFoundError)
  })
}

export async function strangers() {
  await step('a client whose event socket is refused works all the same', async () => {
    const other = new Daytona({ useDeprecatedPolling: false })
    const brief = await other.create({}, { timeout: 30 })
    assert.equal((await brief.process.executeCommand('echo fine')).result, 'fine\n')
    await brief.delete()
    await other[Symbol.asyncDispose]()
  })

  await step('a wrong key is refused', async () => {
    const stranger = new Daytona({ apiKey: 'wrong' })
    await assert.rejects(stranger.get('interop'), (e) => e.statusCode === 401)
  })
}
