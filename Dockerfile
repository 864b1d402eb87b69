# Runbell's server. docs/howto/scale.md says how to run it; tests/e2e/test_deploy.py runs these commands without Docker.
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/runbell UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock hatch_build.py README.md LICENSE ./
COPY src ./src
RUN uv sync --locked --no-cache --no-dev --extra server --no-editable --compile-bytecode

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/runbell --create-home runbell
COPY --from=build /opt/runbell /opt/runbell
ENV PATH=/opt/runbell/bin:$PATH RUNBELL_HOME=/var/lib/runbell RUNBELL_BIND=0.0.0.0:8484 PYTHONUNBUFFERED=1
USER 10001
VOLUME /var/lib/runbell
EXPOSE 8484
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8484/healthz', timeout=4)"]
ENTRYPOINT ["runbell"]
CMD ["serve"]
