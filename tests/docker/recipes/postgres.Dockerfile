FROM claw-stand-in/busybox
ADD packages.tar /
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN echo postgres:x:70: >> /etc/group \
    && echo postgres:x:70:70::/var/lib/postgresql:/bin/sh >> /etc/passwd \
    && mkdir -p /docker-entrypoint-initdb.d /var/lib/postgresql/data /var/run/postgresql \
    && chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql \
    && chmod 1777 /var/lib/postgresql/data \
    && chmod 3777 /var/run/postgresql \
    && sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" \
      /usr/share/postgresql/17/postgresql.conf.sample
ENV LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data \
    PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME ["/var/lib/postgresql/data"]
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
