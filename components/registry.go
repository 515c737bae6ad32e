package components

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/artifactregistry"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/secretmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// How a Registry comes by the images.
const (
	// RegistryMirror copies the images of a release into a repository.
	RegistryMirror = "mirror"
	// RegistryPullThrough is a remote repository that fetches from quay.io.
	RegistryPullThrough = "pull-through"
	// RegistryExisting is a registry that is there already.
	RegistryExisting = "existing"
)

var (
	repositoryRule  = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	locationRule    = regexp.MustCompile(`^([a-z]+-[a-z]+[0-9]+|us|europe|asia)$`)
	imagePrefixRule = regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*/?$`)
)

// Registry is where the cluster pulls images from (guide G-II): a repository in
// Artifact Registry, and who may read it.
type Registry struct {
	pulumi.ResourceState

	// Repository is the repository, for callers that must wait for it; nil where
	// an existing registry is used.
	Repository *artifactregistry.Repository
	// Prefix stands before an image's name:
	// "us-central1-docker.pkg.dev/acme/deepgram".
	Prefix pulumi.StringOutput `pulumi:"prefix"`
	// OpsImage is the image of deepgram-ops that Mirror.OpsTag publishes; empty
	// where it does not.
	OpsImage pulumi.StringOutput `pulumi:"opsImage"`
	// Ready is what a dependent has to wait for before it pulls: the repository,
	// its readers, and the copies of a mirror.
	Ready []pulumi.Resource
	// OpsReady is what a dependent has to wait for, besides Ready, before it pulls
	// OpsImage.
	OpsReady []pulumi.Resource
}

// RegistryArgs says where the images come from and who may read them.
type RegistryArgs struct {
	// Mode is RegistryMirror, RegistryPullThrough or RegistryExisting. Required.
	Mode string
	// Project is the repository's project. Required unless URL is given.
	Project string
	// Location is the repository's region or multi-region. Required unless URL is
	// given.
	Location string
	// Repository is the repository's name. Required unless URL is given.
	Repository string
	// URL is the image prefix of an existing registry that is not Artifact
	// Registry; only with RegistryExisting.
	URL string
	// NamePrefix starts the name of the secret that a pull-through keeps in Secret
	// Manager. Required for RegistryPullThrough.
	NamePrefix string
	// Username is the user of quay.io (guide G-I). Required for
	// RegistryPullThrough. Without it a mirror uses the credentials of Docker's
	// configuration.
	Username pulumi.StringInput
	// Password belongs to Username; it becomes a secret. Required where Username
	// is given.
	Password pulumi.StringInput
	// Mirror copies images with RegistryMirror; nil leaves the repository to
	// somebody else, such as a run of deepgram-ops images mirror in CI.
	Mirror *Mirror
	// Readers are the e-mail addresses of service accounts that may pull, by a
	// stable key that becomes part of the resource's name.
	Readers map[string]pulumi.StringInput
	// SkipServices leaves the project's APIs as they are, for callers that may not
	// switch them on.
	SkipServices bool
	// Production protects the repository from deletion.
	Production bool
	// Labels are put on repository and secret.
	Labels map[string]string
}

// Validate reports every mistake in the arguments.
func (a *RegistryArgs) Validate() error {
	var errs argumentErrors
	switch a.Mode {
	case RegistryMirror, RegistryPullThrough, RegistryExisting:
	case "":
		errs.addf("Mode", "is required: mirror, pull-through or existing")
	default:
		errs.addf("Mode", "%q is not mirror, pull-through or existing", a.Mode)
	}
	if a.URL != "" {
		if a.Mode != RegistryExisting {
			errs.addf("URL", "%q is for mode existing only; the mode is %q", a.URL, a.Mode)
		}
		errs.match("URL", a.URL, imagePrefixRule, `an image prefix without scheme, such as "registry.example.com/deepgram"`)
		if len(a.Readers) > 0 {
			errs.addf("Readers", "cannot be granted at %q, which is not Artifact Registry; leave them out", a.URL)
		}
	} else {
		errs.project("Project", a.Project)
		errs.require("Location", a.Location, "us-central1")
		errs.match("Location", a.Location, locationRule, "a region or one of us, europe, asia")
		errs.require("Repository", a.Repository, "deepgram")
		errs.match("Repository", a.Repository, repositoryRule,
			"a repository name (lower-case letters, digits and hyphens, a letter first)")
	}
	if a.Mode == RegistryPullThrough {
		errs.name("NamePrefix", a.NamePrefix)
		if a.Username == nil {
			errs.addf("Username", "is required for mode pull-through: the distribution credentials of the Deepgram console")
		}
		if a.Password == nil {
			errs.addf("Password", "is required for mode pull-through: the distribution credentials of the Deepgram console")
		}
	}
	if a.Mirror != nil {
		if a.Mode != RegistryMirror {
			errs.addf("Mirror", "is for mode mirror only; the mode is %q", a.Mode)
		}
		if (a.Username == nil) != (a.Password == nil) {
			errs.addf("Username", "and Password belong together; give both, or none")
		}
		a.Mirror.validate(&errs)
	}
	for _, key := range slices.Sorted(maps.Keys(a.Readers)) {
		if a.Readers[key] == nil {
			errs.addf("Readers", "%q has no e-mail address", key)
		}
	}
	return errs.err()
}

// NewRegistry registers the repository that a cluster pulls from, or refers to
// an existing one.
func NewRegistry(
	ctx *pulumi.Context, name string, args *RegistryArgs, opts ...pulumi.ResourceOption,
) (*Registry, error) {
	if args == nil {
		args = &RegistryArgs{} // Validate tells what is missing
	}
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("registry %q: %w", name, err)
	}
	r, err := newRegistry(ctx, name, args, opts)
	if err != nil {
		return nil, fmt.Errorf("registry %q: %w", name, err)
	}
	return r, nil
}

func newRegistry(ctx *pulumi.Context, name string, a *RegistryArgs, opts []pulumi.ResourceOption) (*Registry, error) {
	r := &Registry{}
	inputs := pulumi.Map{
		"mode":       pulumi.String(a.Mode),
		"project":    pulumi.String(a.Project),
		"location":   pulumi.String(a.Location),
		"repository": pulumi.String(a.Repository),
		"url":        pulumi.String(a.URL),
	}
	if err := ctx.RegisterComponentResourceV2("deepgram:index:Registry", name, inputs, r, opts...); err != nil {
		return nil, err
	}

	r.Prefix = pulumi.String(a.prefix()).ToStringOutput()
	if a.Mode != RegistryExisting {
		if err := r.repository(ctx, name, a); err != nil {
			return nil, err
		}
		// Derived from the repository, so that what uses the prefix comes after it.
		path := strings.TrimPrefix(a.prefix(), a.host())
		r.Prefix = pulumi.Sprintf("%s-docker.pkg.dev%s", r.Repository.Location, path)
	}
	if err := r.readers(ctx, name, a); err != nil {
		return nil, err
	}
	r.OpsImage = pulumi.String("").ToStringOutput()
	if err := r.mirror(ctx, name, a); err != nil {
		return nil, err
	}
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{"prefix": r.Prefix, "opsImage": r.OpsImage})
}

func (a *RegistryArgs) host() string { return a.Location + "-docker.pkg.dev" }

func (a *RegistryArgs) prefix() string {
	if a.URL != "" {
		return strings.TrimRight(a.URL, "/")
	}
	// A project of a domain ("example.com:acme") has a slash in image paths.
	prefix := a.host() + "/" + strings.ReplaceAll(a.Project, ":", "/") + "/" + a.Repository
	if a.Mode == RegistryPullThrough {
		prefix += "/deepgram" // the organisation at quay.io
	}
	return prefix
}

// repository makes the repository (guide G-II.2).
func (r *Registry) repository(ctx *pulumi.Context, name string, a *RegistryArgs) error {
	apis := []string{apiArtifactRegistry}
	if a.Mode == RegistryPullThrough {
		apis = append(apis, apiSecretManager)
	}
	var enabled pulumi.ResourceOption = pulumi.DependsOn(nil)
	if !a.SkipServices {
		var err error
		if enabled, err = enableServices(ctx, r, name, a.Project, apis...); err != nil {
			return err
		}
	}
	args := &artifactregistry.RepositoryArgs{
		Project:      pulumi.String(a.Project),
		Location:     pulumi.String(a.Location),
		RepositoryId: pulumi.String(a.Repository),
		Format:       pulumi.String("DOCKER"),
		Mode:         pulumi.String("STANDARD_REPOSITORY"),
		Description:  pulumi.String("Deepgram images, copied by digest"),
		Labels:       stringMap(a.Labels),
	}
	after := []pulumi.ResourceOption{enabled}
	if a.Mode == RegistryPullThrough {
		version, access, err := r.credentials(ctx, name, a, enabled)
		if err != nil {
			return err
		}
		args.Mode = pulumi.String("REMOTE_REPOSITORY")
		args.Description = pulumi.String("Deepgram images, fetched from quay.io")
		args.RemoteRepositoryConfig = remoteConfig(a.Username, version)
		after = append(after, pulumi.DependsOn([]pulumi.Resource{access}))
	}
	after = append(after, pulumi.Protect(a.Production))
	repository, err := artifactregistry.NewRepository(ctx, name+"-repository", args, childOptions(r, after...)...)
	if err != nil {
		return fmt.Errorf("repository: %w", err)
	}
	r.Repository = repository
	r.Ready = append(r.Ready, repository)
	return nil
}

// remoteConfig makes a repository fetch from quay.io with credentials.
func remoteConfig(
	username pulumi.StringInput, version *secretmanager.SecretVersion,
) *artifactregistry.RepositoryRemoteRepositoryConfigArgs {
	type (
		credentials = artifactregistry.RepositoryRemoteRepositoryConfigUpstreamCredentialsArgs
		password    = artifactregistry.RepositoryRemoteRepositoryConfigUpstreamCredentialsUsernamePasswordCredentialsArgs
		docker      = artifactregistry.RepositoryRemoteRepositoryConfigDockerRepositoryArgs
		upstream    = artifactregistry.RepositoryRemoteRepositoryConfigDockerRepositoryCustomRepositoryArgs
	)
	return &artifactregistry.RepositoryRemoteRepositoryConfigArgs{
		Description:      pulumi.String("quay.io"),
		DockerRepository: &docker{CustomRepository: &upstream{Uri: pulumi.String("https://quay.io")}},
		UpstreamCredentials: &credentials{UsernamePasswordCredentials: &password{
			Username:              username.ToStringOutput().ToStringPtrOutput(),
			PasswordSecretVersion: version.Name.ToStringPtrOutput(),
		}},
	}
}

// credentials keep the password where Artifact Registry reads it. A new password
// is a new version: it is made, the repository switches to it, and only then
// does the old one go.
func (r *Registry) credentials(
	ctx *pulumi.Context, name string, a *RegistryArgs, enabled pulumi.ResourceOption,
) (*secretmanager.SecretVersion, *secretmanager.SecretIamMember, error) {
	secret, err := secretmanager.NewSecret(ctx, name+"-secret", &secretmanager.SecretArgs{
		Project:  pulumi.String(a.Project),
		SecretId: pulumi.String(a.NamePrefix + "-quay-password"),
		Replication: &secretmanager.SecretReplicationArgs{
			Auto: &secretmanager.SecretReplicationAutoArgs{},
		},
		Labels: stringMap(a.Labels),
	}, childOptions(r, enabled)...)
	if err != nil {
		return nil, nil, fmt.Errorf("secret: %w", err)
	}
	version, err := secretmanager.NewSecretVersion(ctx, name+"-secret-version", &secretmanager.SecretVersionArgs{
		Secret:     secret.ID(),
		SecretData: pulumi.ToSecret(a.Password).(pulumi.StringOutput),
	}, childOptions(r)...)
	if err != nil {
		return nil, nil, fmt.Errorf("secret version: %w", err)
	}
	project, err := resources.LookupProject(ctx, resources.ProjectLookupArgs{ProjectID: a.Project}, pulumi.Parent(r))
	if err != nil {
		return nil, nil, fmt.Errorf("number of project %q: %w", a.Project, err)
	}
	access, err := secretmanager.NewSecretIamMember(ctx, name+"-secret-access", &secretmanager.SecretIamMemberArgs{
		Project:  pulumi.String(a.Project),
		SecretId: secret.SecretId,
		Role:     pulumi.String("roles/secretmanager.secretAccessor"),
		Member: pulumi.Sprintf("serviceAccount:service-%s@gcp-sa-artifactregistry.iam.gserviceaccount.com",
			project.Number),
	}, childOptions(r)...)
	if err != nil {
		return nil, nil, fmt.Errorf("secret access: %w", err)
	}
	return version, access, nil
}

// readers may pull from this repository and from no other.
func (r *Registry) readers(ctx *pulumi.Context, name string, a *RegistryArgs) error {
	repository := pulumi.String(a.Repository).ToStringOutput()
	if r.Repository != nil {
		repository = r.Repository.Name
	}
	for _, key := range slices.Sorted(maps.Keys(a.Readers)) {
		member, err := artifactregistry.NewRepositoryIamMember(ctx, name+"-reader-"+key,
			&artifactregistry.RepositoryIamMemberArgs{
				Project:    pulumi.String(a.Project),
				Location:   pulumi.String(a.Location),
				Repository: repository,
				Role:       pulumi.String("roles/artifactregistry.reader"),
				Member:     pulumi.Sprintf("serviceAccount:%s", a.Readers[key]),
			}, childOptions(r)...)
		if err != nil {
			return fmt.Errorf("reader %q: %w", key, err)
		}
		r.Ready = append(r.Ready, member)
	}
	return nil
}
