// The sandbox as a computer: folders, variables, metrics, ports, and files by
// address.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { Configuration, PortApi } from '@daytona/toolbox-api-client'
import { step, until } from './steps.js'

async function itself(sandbox) {
  await step('home and work folder', async () => {
    const home = await sandbox.getUserHomeDir()
    assert.equal((await sandbox.process.executeCommand('echo ~')).result.trim(), home)
    assert.equal((await sandbox.process.executeCommand('pwd')).result.trim(), await sandbox.getWorkDir())
  })

  await step('set and remove variables', async () => {
    await sandbox.updateEnv({ COLOUR: 'blue', SIZE: '3' })
    const show = async () => (await sandbox.process.executeCommand('echo "$COLOUR,$SIZE,$GREETING"')).result
    assert.equal(await show(), 'blue,3,bonjour\n')
    await sandbox.updateEnv({ COLOUR: 'red' }, { unset: ['SIZE'] })
    assert.equal(await show(), 'red,,bonjour\n')
  })

  await step('metrics', async () => {
    const m = await sandbox.getMetricsLatest()
    assert.ok(m.cpuCount > 0 && m.memTotal > 0 && m.memUsed > 0 && m.diskTotal > 0)
    assert.ok(m.memUsed <= m.memTotal && m.diskUsed <= m.diskTotal)
    assert.ok(Math.abs(m.timestamp - Date.now()) < 60000)
  })
}

// The service looks at ports from 3000 to 9999 only.
async function freePort() {
  for (;;) {
    const port = 3000 + Math.floor(Math.random() * 7000)
    const free = await new Promise((resolve) => {
      const server = createServer().once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
}

// The SDK itself has no calls for ports; the client that it is built on has.
async function ports(sandbox) {
  const base = `${sandbox.toolboxProxyUrl}/${sandbox.id}`
  const headers = { Authorization: `Bearer ${process.env.DAYTONA_API_KEY}` }
  const api = new PortApi(new Configuration({ basePath: base, baseOptions: { headers } }))
  const port = await freePort()
  const command = 'mkdir -p www && echo hello >www/index.html && ' +
    `exec python3 -m http.server ${port} --bind 127.0.0.1 --directory www`

  await step('a server in the sandbox, its port, and what it says', async () => {
    assert.equal((await api.isPortInUse(port)).data.isInUse, false)
    await sandbox.process.createSession('www')
    await sandbox.process.executeSessionCommand('www', { command, runAsync: true })
    await until(async () => (await api.isPortInUse(port)).data.isInUse, 'the port')
    assert.ok((await api.getPorts()).data.ports.includes(port))
    assert.equal(await (await fetch(`${base}/proxy/${port}/`, { headers })).text(), 'hello\n')
    await sandbox.process.deleteSession('www')
  })

  await step('the address of a port', async () => {
    const link = await sandbox.getPreviewLink(port)
    assert.ok(new URL(link.url).hostname.startsWith(`${port}-`))
    assert.ok(link.token)
  })
}

async function addresses(sandbox) {
  function form(text) {
    const data = new FormData()
    data.append('file', new Blob([text]), 'upload')
    return data
  }

  await step('download a file by a signed address', async () => {
    await sandbox.fs.uploadFile(Buffer.from('by address'), 'shared/a file.txt')
    const url = await sandbox.downloadUrl('shared/a file.txt', 60)
    assert.equal(await (await fetch(url)).text(), 'by address')
    assert.ok(!(await fetch(url.replace('file.txt', 'other.txt'))).ok)
  })

  await step('upload a file by a signed address', async () => {
    const url = await sandbox.uploadUrl('shared/up.txt', 60)
    const response = await fetch(url, { method: 'POST', body: form('uploaded') })
    assert.ok(response.ok, await response.text())
    assert.equal((await sandbox.fs.downloadFile('shared/up.txt')).toString(), 'uploaded')
  })

  await step('signed addresses end: after their time, and with their key', async () => {
    const brief = await sandbox.downloadUrl('shared/up.txt', 1)
    await until(async () => !(await fetch(brief)).ok, 'the end of its time')
    const url = await sandbox.downloadUrl('shared/up.txt', 60)
    await sandbox.rotateSigningKey()
    assert.ok(!(await fetch(url)).ok)
    assert.equal(await (await fetch(await sandbox.downloadUrl('shared/up.txt', 60))).text(), 'uploaded')
  })
}

export default async function (sandbox) {
  await itself(sandbox)
  await ports(sandbox)
  await addresses(sandbox)
}
