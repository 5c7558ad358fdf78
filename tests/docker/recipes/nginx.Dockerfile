FROM claw-stand-in/busybox
ADD packages.tar /
RUN echo nginx:x:101: >> /etc/group \
    && echo nginx:x:101:101::/var/cache/nginx:/bin/sh >> /etc/passwd \
    && mkdir -p /var/cache/nginx /var/log/nginx \
    && ln -sf /dev/stdout /var/log/nginx/access.log \
    && ln -sf /dev/stderr /var/log/nginx/error.log \
    && rm -rf /etc/nginx/modules-enabled /etc/nginx/sites-enabled
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
