// Ways in: previews of a port, plain and signed, and SSH tokens; what the service
// has noted about the sandbox; and one that is made from an image.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { DaytonaAuthorizationError, Image } from '@daytona/sdk'
import { step, until } from './steps.js'

// What is at an address whose name ends in .localhost, which not every system knows.
function get(address, headers = {}) {
  const url = new URL(address)
  return new Promise((resolve, reject) => {
    const ask = request({ host: '127.0.0.1', port: url.port, path: url.pathname, headers: { host: url.host, ...headers } })
    ask.on('error', reject).on('response', async (answer) => {
      let body = ''
      for await (const chunk of answer) body += chunk
      resolve({ status: answer.statusCode, body })
    })
    ask.end()
  })
}

async function previews(sandbox) {
  const port = 3000 + Math.floor(Math.random() * 7000)
  await sandbox.process.createSession('preview')
  await sandbox.process.executeSessionCommand('preview', {
    command: 'mkdir -p seen && echo seen >seen/index.html && ' +
      `exec python3 -m http.server ${port} --bind 127.0.0.1 --directory seen`,
    runAsync: true,
  })

  await step('a preview, with its token', async () => {
    const link = await sandbox.getPreviewLink(port)
    const headers = { 'x-daytona-preview-token': link.token }
    await until(async () => (await get(link.url, headers)).body === 'seen\n', 'the page')
    assert.equal((await get(link.url)).status, 307) // to where people log in
  })

  await step('a signed preview, until it is expired', async () => {
    const link = await sandbox.getSignedPreviewUrl(port, 60)
    assert.equal((await get(link.url)).body, 'seen\n')
    await sandbox.expireSignedPreviewUrl(port, link.token)
    assert.equal((await get(link.url)).status, 307) // to where people log in
  })
  await sandbox.process.deleteSession('preview')
}

async function records(sandbox) {
  await step('SSH access is given, checked and taken away', async () => {
    const access = await sandbox.createSshAccess(10)
    assert.ok(access.sshCommand && new Date(access.expiresAt) > new Date())
    await assert.rejects(sandbox.validateSshAccess(access.token), DaytonaAuthorizationError) // the gateway's question
    await sandbox.revokeSshAccess(access.token)
  })

  await step('what it used till now', async () => {
    const samples = await sandbox.getMetrics(undefined, new Date(Date.now() + 1000))
    assert.ok(samples.length > 0)
    const last = samples[samples.length - 1]
    assert.ok(last.memUsed > 0 && last.memTotal > last.memUsed && last.cpuCount > 0 && last.diskTotal > 0)
  })
}

async function image(client) {
  let box
  let log = ''
  await step('make one from an image, and hear how it is built', async () => {
    const description = Image.base('debian:12').runCommands('true').entrypoint(['sh', '-c', 'echo up; echo on >&2; sleep 100'])
    box = await client.create({ image: description, autoStopInterval: 5 }, {
      timeout: 60, onSnapshotCreateLogs: (chunk) => (log += chunk + '\n'),
    })
    assert.equal(box.state, 'started')
    assert.ok(log.includes('FROM debian:12'), log)
  })
  if (!box) return

  await step('its entrypoint runs, and its output is heard', async () => {
    const session = await box.process.getEntrypointSession()
    assert.equal(session.sessionId, 'entrypoint')
    assert.equal(session.commands[0].exitCode ?? null, null)
    let out = ''
    let err = ''
    const ended = box.process.getEntrypointLogs((chunk) => (out += chunk), (chunk) => (err += chunk)).catch(() => {})
    await until(() => out === 'up\n' && err === 'on\n', 'its output')
    await box.delete()
    await ended
  })
}

export default async function (sandbox, { client }) {
  await previews(sandbox)
  await records(sandbox)
  await image(client)
}
