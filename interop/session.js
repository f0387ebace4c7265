// Sessions: shells that keep their state, with live logs and input.
import assert from 'node:assert/strict'
import { DaytonaNotFoundError } from '@daytona/sdk'
import { step, until } from './steps.js'

// Follows the logs of a command. Returns what has arrived and the end's promise.
function follow(sandbox, id, command) {
  const got = { out: '', err: '' }
  got.end = sandbox.process.getSessionCommandLogs(id, command,
    (chunk) => { got.out += chunk }, (chunk) => { got.err += chunk })
  return got
}

export default async function (sandbox) {
  const process = sandbox.process
  const run = (command, runAsync) => process.executeSessionCommand('shell', { command, runAsync })

  await step('a session keeps folder, variables and exit codes', async () => {
    await process.createSession('shell')
    await assert.rejects(process.createSession('shell'), (e) => e.statusCode === 409)
    assert.equal((await run('cd /tmp; NAME=ada')).exitCode, 0)
    const r = await run('echo "$NAME in $PWD"; echo oh >&2; (exit 4)')
    assert.equal(r.exitCode, 4)
    assert.equal(r.stdout, 'ada in /tmp\n')
    assert.equal(r.stderr, 'oh\n')
  })

  await step('list sessions and look at their commands', async () => {
    const { cmdId } = await run('true')
    assert.ok((await process.listSessions()).some((s) => s.sessionId === 'shell'))
    const session = await process.getSession('shell')
    assert.equal(session.commands.length, 3)
    const command = await process.getSessionCommand('shell', cmdId)
    assert.equal(command.command, 'true')
    assert.equal(command.exitCode, 0)
    await assert.rejects(process.getSession('none'), DaytonaNotFoundError)
    await assert.rejects(process.getSessionCommand('shell', 'none'), DaytonaNotFoundError)
  })

  await step('live logs, output and errors apart, while the command runs', async () => {
    const { cmdId } = await run('echo one; echo two >&2; read answer; echo "got $answer"; (exit 5)', true)
    const got = follow(sandbox, 'shell', cmdId)
    await until(() => got.out === 'one\n' && got.err === 'two\n', 'the first lines')
    assert.equal((await process.getSessionCommand('shell', cmdId)).exitCode, undefined)
    await process.sendSessionCommandInput('shell', cmdId, 'a line\n')
    await got.end
    assert.match(got.out, /got a line\n$/)
    assert.equal(got.err, 'two\n')
    assert.equal((await process.getSessionCommand('shell', cmdId)).exitCode, 5)
  })

  await step('logs of a command that is over', async () => {
    const { cmdId } = await run('printf "é %s\\n" 1 2 3; echo bad >&2', true)
    await until(async () => (await process.getSessionCommand('shell', cmdId)).exitCode === 0, 'its end')
    const logs = await process.getSessionCommandLogs('shell', cmdId)
    assert.equal(logs.stdout, 'é 1\né 2\né 3\n')
    assert.equal(logs.stderr, 'bad\n')
    const got = follow(sandbox, 'shell', cmdId)
    await got.end
    assert.deepEqual([got.out, got.err], [logs.stdout, logs.stderr])
  })

  await step('a long log arrives whole', async () => {
    const { cmdId } = await run('seq 1 100000', true)
    const got = follow(sandbox, 'shell', cmdId)
    await got.end
    // (This SDK takes a prefix that ends a frame for output.)
    assert.equal(got.out.replaceAll('\x01\x01\x01', ''), Array.from({ length: 100000 }, (_, i) => `${i + 1}\n`).join(''))
  })

  await step('the entry point is a session of its own', async () => {
    assert.equal((await process.getEntrypointSession()).sessionId, 'entrypoint')
    await process.getEntrypointLogs()
  })

  await step('delete a session, with what runs in it', async () => {
    await run('sleep 4242', true)
    await until(async () => (await process.executeCommand('pgrep -fx "sleep 4242"')).exitCode === 0, 'its start')
    await process.deleteSession('shell')
    await until(async () => (await process.executeCommand('pgrep -fx "sleep 4242"')).exitCode === 1, 'its end')
    await assert.rejects(process.getSession('shell'), DaytonaNotFoundError)
  })
}
