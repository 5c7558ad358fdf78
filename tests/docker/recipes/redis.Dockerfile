FROM claw-stand-in/busybox
ADD packages.tar /
COPY redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN echo redis:x:1000: >> /etc/group \
    && echo redis:x:999:1000::/home/redis:/bin/sh >> /etc/passwd \
    && mkdir -p /data \
    && chown redis:redis /data
VOLUME ["/data"]
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
