FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 10001 --create-home bulkwatch \
    && install --directory --owner bulkwatch --group bulkwatch --mode 0700 /data
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt

COPY manage.py ./
COPY config config
COPY jobs jobs
COPY static static
COPY templates templates
ENV STATIC_ROOT=/app/collected
# Collecting needs secrets but uses none: these are drawn here and thrown away.
RUN DATA_DIR=/tmp/build python manage.py collectstatic --no-input \
    && rm -rf /tmp/build \
    && python -m compileall -q config jobs

ENV DATA_DIR=/data
USER bulkwatch
VOLUME /data
EXPOSE 8000
# All addresses of the container; docker-compose.yml publishes it on 127.0.0.1 only.
CMD ["python", "-m", "config.supervisor.web", "0.0.0.0", "8000", "2"]
