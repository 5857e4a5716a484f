import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { exampleSecrets } from '../config/example-files.ts'
import { loadText } from '../config/sample.ts'
import { runCommand } from '../support/command.ts'
import { startGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'

const manifests = resolve(import.meta.dirname, '../../deploy/kubernetes')
const kubectl = requireServer('kubectl')
const validate = requireServer('kubernetes-validate')

/** As much of a manifest as is looked at. */
interface Manifest {
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly data?: Readonly<Record<string, string>>
  readonly spec: PodTemplate & {
    readonly selector: Readonly<Record<string, string>> & { readonly matchLabels?: Readonly<Record<string, string>> }
    readonly ports: readonly { readonly name: string; readonly targetPort: string }[]
    readonly endpoints: readonly { readonly port: string; readonly path: string }[]
    readonly jobLabel: string
    readonly scaleTargetRef: { readonly kind: string; readonly name: string }
  }
}

interface PodTemplate {
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> }
    readonly spec: {
      readonly terminationGracePeriodSeconds: number
      readonly containers: readonly [Container]
      readonly volumes: readonly { readonly name: string; readonly configMap?: object; readonly secret?: object }[]
    }
  }
}

interface Container {
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly subPath?: string }[]
  readonly startupProbe: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}

describe('the manifests for Kubernetes', { skip: kubectl.skip || validate.skip }, () => {
  let folder: string
  let built: string
  let all: Manifest[]

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-kubernetes-'))
    built = join(folder, 'all.yaml')
    const { code, stdout, stderr } = await runCommand(kubectl.path, ['kustomize', manifests], { cwd: folder })
    assert.equal(code, 0, stderr)
    await writeFile(built, stdout)
    all = parseAllDocuments(stdout).map((document) => document.toJS() as Manifest)
  })
  after(() => rm(folder, { recursive: true }))

  function one(kind: string, name = 'sessiongate'): Manifest {
    const found = all.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)
    return found ?? assert.fail(`${kind} ${name}`)
  }

  for (const version of ['1.30', '1.37']) {
    test(`kustomize builds them, and they fit the schemas of Kubernetes ${version}, to the last key`, async () => {
      const args = ['--strict', '--kubernetes-version', version, built]
      const { code, stdout, stderr } = await runCommand(validate.path, args, { cwd: folder })
      assert.equal(code, 0, `${stdout}${stderr}`)
      // The one kind that is not of Kubernetes itself; a test below looks at it.
      const unknown = `${stdout}${stderr}`.split('\n').filter((line) => line.includes("Couldn't find schema"))
      assert.deepEqual(
        unknown.map((line) => /for kind (\w+)/.exec(line)?.[1]),
        ['ServiceMonitor'],
      )
    })
  }

  test('everything is in one namespace, and what selects pods selects these', () => {
    const namespaces = all.filter(({ kind }) => kind !== 'Namespace').map(({ metadata }) => metadata.namespace)
    assert.deepEqual(new Set(namespaces), new Set(['sessiongate']))
    const { labels } = one('Deployment').spec.template.metadata
    for (const { kind, spec } of all.filter(({ kind }) => kind === 'Service'))
      assert.deepEqual(spec.selector, labels, kind)
    for (const kind of ['Deployment', 'PodDisruptionBudget'])
      assert.deepEqual(one(kind).spec.selector.matchLabels, labels)
    const { kind, name } = one('HorizontalPodAutoscaler').spec.scaleTargetRef
    assert.ok(one(kind, name))
  })

  test('Prometheus’ operator finds the service that leads to the metrics, under the job that the alerts ask for', () => {
    const { selector, endpoints, jobLabel } = one('ServiceMonitor').spec
    const services = all.filter(
      ({ kind, metadata }) =>
        kind === 'Service' &&
        Object.entries(selector.matchLabels ?? {}).every(([name, value]) => metadata.labels?.[name] === value),
    )
    assert.deepEqual(
      services.map(({ metadata }) => metadata.name),
      ['sessiongate-operator'],
    )
    assert.equal(services[0]?.metadata.labels?.[jobLabel], 'sessiongate')
    assert.deepEqual(
      endpoints.map(({ port }) => port),
      services[0]?.spec.ports.map(({ name }) => name),
    )
  })

  test('the file that is mounted loads; its ports are those of the pod, its paths those that are mounted', async () => {
    const text = one('ConfigMap').data?.['sessiongate.yaml'] ?? ''
    const { config } = await loadText(text, { files: exampleSecrets() })
    const { containers, volumes, terminationGracePeriodSeconds } = one('Deployment').spec.template.spec
    const [{ ports, volumeMounts }] = containers
    const listens = [config.listen[0]?.address, config.probes?.listen.address]
    assert.deepEqual(
      listens.map((address) => address?.kind === 'tcp' && [address.host, address.port]),
      ports.map(({ containerPort }) => ['0.0.0.0', containerPort]),
    )
    const mounted = volumeMounts.map(({ mountPath }) => mountPath)
    assert.ok(mounted.includes('/etc/sessiongate'))
    for (const [, path = ''] of text.matchAll(/\$\{file:([^}]+)\}/g)) {
      assert.ok(
        mounted.some((folder) => path.startsWith(`${folder}/`)),
        path,
      )
    }
    // A file that is mounted by itself would never change.
    assert.deepEqual(
      volumeMounts.filter(({ subPath }) => subPath !== undefined),
      [],
    )
    assert.deepEqual(
      volumeMounts.map(({ name }) => name),
      volumes.map(({ name }) => name),
    )
    const { drainMs, readinessDelayMs } = config.shutdown
    assert.ok(terminationGracePeriodSeconds * 1000 > drainMs + readinessDelayMs)
  })

  test('a gateway with this file answers what the probes and Prometheus ask', async () => {
    const [{ startupProbe, livenessProbe, readinessProbe }] = one('Deployment').spec.template.spec.containers
    const text = (one('ConfigMap').data?.['sessiongate.yaml'] ?? '')
      .replace('0.0.0.0:8080', '127.0.0.1:0')
      .replace('0.0.0.0:9902', '127.0.0.1:0')
      .replace(/url: \$\{file:\S+database_url\}/, 'url: sqlite:./sessions.sqlite3\n  create: true')
      .replaceAll('/run/secrets/sessiongate', folder)
    for (const name of ['secret_key', 'signing_key']) await writeFile(join(folder, name), 'k'.repeat(50))
    await using gateway = await startGateway({ config: text })
    for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
      assert.equal(probe.httpGet.port, 'operator')
      assert.equal((await fetch(`${gateway.operatorUrl}${probe.httpGet.path}`)).status, 200)
    }
    const { path } = one('ServiceMonitor').spec.endpoints[0] ?? assert.fail()
    assert.match(await (await fetch(`${gateway.operatorUrl}${path}`)).text(), /^sessiongate_build_info/m)
  })
})
