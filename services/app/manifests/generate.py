#!/usr/bin/env python3
"""Writes hotel.yaml, the hotel reservation application as Kubernetes objects.

The output is committed; run `generate.py > hotel.yaml` after a change here. With --sql STORE the
statements that load that store are printed (tests load plain servers with them).
"""

import sys

GRANTS = r"""-- The declared roles and grants of this store: may be run again at any time.
\getenv password DB_PASSWORD
SELECT 'CREATE ROLE hotel' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hotel') \gexec
ALTER ROLE hotel LOGIN PASSWORD :'password';
SELECT format('GRANT CONNECT ON DATABASE %I TO hotel', current_database()) \gexec
GRANT USAGE ON SCHEMA public TO hotel;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hotel;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO hotel;
"""

# Eighty hotels around San Francisco: the first six as in the original, the rest on a line.
PLACE = """round((CASE i WHEN 1 THEN 37.7867 WHEN 2 THEN 37.7854 WHEN 3 THEN 37.7854 WHEN 4 THEN 37.7936
    WHEN 5 THEN 37.7831 WHEN 6 THEN 37.7863 ELSE 37.7835 + i / 500.0 * 3 END)::numeric, 6)::float8 AS lat,
    round((CASE i WHEN 1 THEN -122.4112 WHEN 2 THEN -122.4005 WHEN 3 THEN -122.4071 WHEN 4 THEN -122.3930
    WHEN 5 THEN -122.4181 WHEN 6 THEN -122.4015 ELSE -122.41 + i / 500.0 * 4 END)::numeric, 6)::float8 AS lon"""

DATA = {
    "geo": f"""CREATE TABLE geo (id text PRIMARY KEY, lat float8 NOT NULL, lon float8 NOT NULL);
INSERT INTO geo SELECT i::text, lat, lon FROM (SELECT i, {PLACE}
    FROM generate_series(1, 80) AS i) AS h;
""",
    "rate": """CREATE TABLE rate (hotel_id text PRIMARY KEY, code text NOT NULL, in_date date NOT NULL,
    out_date date NOT NULL, room_type jsonb NOT NULL);
INSERT INTO rate SELECT i::text, 'RACK', '2015-04-09', '2015-04-10',
    jsonb_build_object('bookableRate', 105 + (i * 37) % 160, 'totalRate', 105 + (i * 37) % 160,
        'totalRateInclusive', round((105 + (i * 37) % 160) * 1.124, 2), 'code',
        (ARRAY['KNG', 'QN', 'DBL'])[1 + i % 3], 'currency', 'USD', 'roomDescription',
        (ARRAY['King sized bed', 'Queen sized bed', 'Double bed'])[1 + i % 3])
    FROM generate_series(1, 80) AS i;
""",
    "profile": f"""CREATE TABLE profile (id text PRIMARY KEY, name text NOT NULL, phone_number text NOT NULL,
    description text NOT NULL, address jsonb NOT NULL);
INSERT INTO profile SELECT i::text,
    CASE i WHEN 1 THEN 'Clift Hotel' WHEN 2 THEN 'W San Francisco' WHEN 3 THEN 'Hotel Zetta'
        WHEN 4 THEN 'Hotel Vitale' WHEN 5 THEN 'Phoenix Hotel' WHEN 6 THEN 'St. Regis San Francisco'
        ELSE 'St. Regis San Francisco ' || i END,
    '(415) 284-40' || lpad(i::text, 2, '0'),
    'Hotel number ' || i || ' of the demo data: rooms with a view, breakfast and a desk.',
    jsonb_build_object('streetNumber', (100 + i)::text, 'streetName', '3rd St', 'city',
        'San Francisco', 'state', 'CA', 'country', 'United States', 'postalCode',
        (94100 + i % 60)::text, 'lat', lat, 'lon', lon)
    FROM (SELECT i, {PLACE} FROM generate_series(1, 80) AS i) AS h;
""",
    "recommendation": f"""CREATE TABLE recommendation (id text PRIMARY KEY, lat float8 NOT NULL,
    lon float8 NOT NULL, rate float8 NOT NULL, price float8 NOT NULL);
INSERT INTO recommendation SELECT i::text, lat, lon, 105 + (i * 37) % 160, 120 + (i * 53) % 150
    FROM (SELECT i, {PLACE} FROM generate_series(1, 80) AS i) AS h;
""",
    "user": """CREATE TABLE "user" (username text PRIMARY KEY, password text NOT NULL);
INSERT INTO "user" SELECT 'Cornell_' || i,
    encode(sha256(convert_to(repeat(i::text, 10), 'UTF8')), 'hex')
    FROM generate_series(0, 500) AS i;
""",
    "reservation": """CREATE TABLE number (hotel_id text PRIMARY KEY, rooms int NOT NULL);
CREATE TABLE reservation (id bigserial PRIMARY KEY, hotel_id text NOT NULL, customer_name text NOT NULL,
    in_date date NOT NULL, out_date date NOT NULL, number int NOT NULL);
CREATE INDEX reservation_hotel ON reservation (hotel_id, in_date);
INSERT INTO number SELECT i::text, 1000000 FROM generate_series(1, 80) AS i;
INSERT INTO reservation (hotel_id, customer_name, in_date, out_date, number)
    VALUES ('4', 'Alice', '2015-04-09', '2015-04-10', 1);
""",
}

SERVICES = {
    "frontend": (5000, None),
    "search": (8082, None),
    "geo": (8083, None),
    "rate": (8084, None),
    "profile": (8081, None),
    "recommendation": (8085, None),
    "user": (8086, None),
    "reservation": (8087, None),
}
CACHES = ("rate", "profile", "reserve")


def indent(text, n):
    return "".join(" " * n + line if line.strip() else line for line in text.splitlines(True))


def service(name, port, port_name):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: {port_name}, port: {port}, targetPort: {port}}}]
"""


def deployment(name, container, volumes="", grace=2):
    return f"""---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  replicas: 1
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: {grace}
      containers:
{indent(container, 8)}{indent(volumes, 6)}"""


def secret_env(name, key):
    return f"- {{name: {name}, valueFrom: {{secretKeyRef: {{name: hotel-db, key: {key}}}}}}}\n"


def app(name, port):
    http = name == "frontend"
    listen = "ACESO_APP_HTTP_LISTEN" if http else "ACESO_APP_LISTEN"
    other = "ACESO_APP_LISTEN" if http else "ACESO_APP_HTTP_LISTEN"
    env = f"""- {{name: ACESO_APP_SPEC_NAME, value: hotel}}
- {{name: ACESO_APP_SERVICE, value: {name}}}
- {{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}
- {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
- {{name: POD_NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}
- {{name: {listen}, value: "$(POD_IP):{port}"}}
- {{name: {other}, value: "$(POD_IP):9090"}}
- {{name: OTEL_EXPORTER_OTLP_ENDPOINT, valueFrom: {{configMapKeyRef: {{name: aceso-telemetry, key: endpoint, optional: true}}}}}}
"""
    if name == "recommendation":
        env += "- {name: SERVING_ADDRESS, valueFrom: {configMapKeyRef: {name: aceso-telemetry, key: serving, optional: true}}}\n"
    if name in DATA:
        env += secret_env("DB_PASSWORD", "hotel-password")
    health = port if http else 9090
    return deployment(name, f"""- name: {name}
  image: aceso/app:latest
  imagePullPolicy: IfNotPresent
  ports: [{{containerPort: {port}}}]
  env:
{indent(env, 4)}  readinessProbe:
    httpGet: {{path: /healthz, port: {health}}}
    periodSeconds: 1
    failureThreshold: 2
  resources:
    requests: {{cpu: 20m, memory: 32Mi}}
    limits: {{cpu: 500m, memory: 256Mi}}
""")


def database(store):
    name = f"mongodb-{store}"
    env = (f"- {{name: POSTGRES_USER, value: admin}}\n- {{name: POSTGRES_DB, value: {store}}}\n"
           + secret_env("POSTGRES_PASSWORD", "admin-password") + secret_env("DB_PASSWORD", "hotel-password"))
    return deployment(name, f"""- name: {name}
  image: postgres:15
  args: [-c, fsync=off, -c, full_page_writes=off, -c, shared_buffers=16MB, -c, max_connections=40, -c, max_wal_size=128MB, -c, autovacuum=off]
  ports: [{{containerPort: 5432}}]
  env:
{indent(env, 4)}  volumeMounts: [{{name: init, mountPath: /docker-entrypoint-initdb.d}}]
  readinessProbe:
    tcpSocket: {{port: 5432}}
    periodSeconds: 1
    failureThreshold: 2
  resources:
    requests: {{cpu: 20m, memory: 64Mi}}
    limits: {{cpu: "1", memory: 512Mi}}
""", f"volumes:\n- name: init\n  configMap: {{name: {name}-init}}\n")


def restore(store):
    """The pod that puts a store's declared roles and grants back."""
    name, env = f"mongodb-{store}", f"MONGODB_{store.upper()}"
    pod = f"""apiVersion: v1
kind: Pod
metadata: {{name: {name}-restore, labels: {{app: {name}-restore}}}}
spec:
  restartPolicy: Never
  containers:
  - name: restore
    image: postgres:15
    command: [sh, -c, 'exec psql -v ON_ERROR_STOP=1 -h "${{{env}_SERVICE_HOST:-{name}}}" -U admin -d {store} -f /declared/20-grants.sql']
    env:
{indent(secret_env("PGPASSWORD", "admin-password") + secret_env("DB_PASSWORD", "hotel-password"), 4)}\
    volumeMounts: [{{name: declared, mountPath: /declared}}]
  volumes:
  - name: declared
    configMap: {{name: {name}-init}}
"""
    return f"""---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}-restore, labels: {{aceso.dev/restores: {name}}}}}
data:
  restore.yaml: |
{indent(pod, 4)}"""


def init(store):
    return f"""---
apiVersion: v1
kind: ConfigMap
metadata: {{name: mongodb-{store}-init, labels: {{app: mongodb-{store}}}}}
data:
  10-data.sql: |
{indent(DATA[store], 4)}  20-grants.sql: |
{indent(GRANTS, 4)}"""


def cache(kind):
    name = f"memcached-{kind}"
    return deployment(name, f"""- name: {name}
  image: redis:7
  args: [--save, "", --appendonly, "no", --maxmemory, 32mb, --maxmemory-policy, allkeys-lru]
  ports: [{{containerPort: 6379}}]
  readinessProbe:
    tcpSocket: {{port: 6379}}
    periodSeconds: 1
    failureThreshold: 2
  resources:
    requests: {{cpu: 10m, memory: 16Mi}}
    limits: {{cpu: 500m, memory: 64Mi}}
""")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--sql":
        print(DATA[sys.argv[2]] + GRANTS)
        return
    out = """# The hotel reservation application. Written by generate.py: change that, not this file.
# kubectl create namespace hotel && kubectl apply -n hotel -f hotel.yaml
# The lab fills in ${OTLP_ENDPOINT} and ${CONTROLLER_ADDR}; as they stand they mean "none".
apiVersion: v1
kind: ConfigMap
metadata: {name: aceso-telemetry}
data:
  endpoint: "${OTLP_ENDPOINT}"
  serving: "${CONTROLLER_ADDR}"
---
apiVersion: v1
kind: Secret
metadata: {name: hotel-db}
type: Opaque
stringData:
  admin-password: admin-of-the-demo
  hotel-password: hotel-of-the-demo
"""
    for s in DATA:
        out += init(s) + restore(s) + service(f"mongodb-{s}", 5432, "postgres")
    for c in CACHES:
        out += service(f"memcached-{c}", 6379, "redis")
    for name, (port, _) in SERVICES.items():
        out += service(name, port, "http" if name == "frontend" else "grpc")
    for s in DATA:
        out += database(s)
    for c in CACHES:
        out += cache(c)
    for name, (port, _) in SERVICES.items():
        out += app(name, port)
    sys.stdout.write(out)


main()
