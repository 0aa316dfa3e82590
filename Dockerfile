# The service in a container:
#   docker build --tag isthmus .
#   docker run --publish 8000:8000 --volume ./models:/models:ro isthmus digits --token-file token
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
# The index of torch has builds for processors alone, a tenth the size of those for graphics cards.
RUN python -m venv /opt/isthmus \
 && /opt/isthmus/bin/pip install --no-cache-dir --constraint constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu ".[serve,compress,formats]"

FROM python:3.11-slim
COPY --from=build /opt/isthmus /opt/isthmus
# Nothing is written but caches: the root may be read-only with a volume at /tmp.
ENV HOME=/tmp
WORKDIR /models
USER 10001
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s \
    CMD ["/opt/isthmus/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]
ENTRYPOINT ["/opt/isthmus/bin/isthmus", "serve", "--host", "0.0.0.0", "--port", "8000"]
