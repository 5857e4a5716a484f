import { z } from 'zod'
import { type Endpoint, endpoints } from './endpoints.ts'

/** The API described for machines (OpenAPI 3.1), made from what it accepts and tells. */
export function openApiDocument(version: string): unknown {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const endpoint of endpoints) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(endpoint) }
  }
  paths['/api/requests'] = {
    get: {
      summary: 'Requests as they end, as server-sent events: lines of the access log',
      responses: {
        200: { description: 'A stream that does not end', content: { 'text/event-stream': {} } },
        ...failures,
      },
    },
  }
  return {
    openapi: '3.1.0',
    info: { title: 'sessiongate, for its operator', version },
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'admin.token' } } },
    paths,
  }
}

const failures = {
  401: { description: 'No token, or another' },
  403: { description: 'For the page of another site' },
}

function operationOf({ method, path, about, input, output }: Endpoint): unknown {
  const schema = z.toJSONSchema(input, { io: 'input' })
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const { properties = {}, required = [] } = schema
  const inPath = names.map((name) => ({ name, in: 'path', required: true, schema: properties[name] ?? {} }))
  const others = Object.entries(properties).filter(([name]) => !names.includes(name))
  const inQuery = others.map(([name, member]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema: member,
  }))
  const body = {
    required: true,
    content: {
      'application/json': {
        schema: {
          ...schema,
          properties: Object.fromEntries(others),
          required: required.filter((name) => !names.includes(name)),
        },
      },
    },
  }
  return {
    summary: about,
    parameters: method === 'GET' ? [...inPath, ...inQuery] : inPath,
    ...(method === 'POST' ? { requestBody: body } : {}),
    responses: {
      200: { description: about, content: { 'application/json': { schema: z.toJSONSchema(output) } } },
      400: { description: 'What was asked is not well-formed; the answer says where' },
      404: { description: 'There is no such thing' },
      409: { description: 'It cannot be done; the answer says why' },
      ...failures,
    },
  }
}
