# The gateway as an image: no shell needed, no root, and a root file system that may be read-only.
#
#   docker build -t sessiongate .
#   docker run --read-only --cap-drop ALL -p 8080:8080 \
#     -v ./sessiongate.yaml:/etc/sessiongate/sessiongate.yaml:ro -v sessiongate:/data sessiongate
#
# In the YAML, listen on 0.0.0.0:8080. Relative paths start at /data: ./var, with the sessions and the generated keys,
# is /data/var, and /data is the one folder that it writes to.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --workspaces=false
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --workspaces=false --omit=dev

FROM node:24-slim
ENV NODE_ENV=production
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
COPY package.json LICENSE /app/
COPY bin /app/bin
COPY page/built /app/page/built
RUN mkdir /data && chown 1000:1000 /data
USER 1000:1000
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["node", "/app/bin/sessiongate.mjs", "healthcheck", "--config", "/etc/sessiongate/sessiongate.yaml"]
ENTRYPOINT ["node", "/app/bin/sessiongate.mjs"]
CMD ["serve", "--config", "/etc/sessiongate/sessiongate.yaml"]
